"""From the bytes of a file to typed columns, and every reason why a row is not accepted. May import the contract and
tenants.
"""
