"""From the headers of a file to the columns of the contract: words in several languages, known exports, a tenant's own
mapping, and what is proposed where nothing is sure. May import normalising, the contract and tenants.
"""
