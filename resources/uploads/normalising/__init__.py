"""What a cell means: one normaliser for each type of the contract, in a form for one value and one for a column that
give the same, and what only a whole column can decide. May import the contract and tenants.
"""
