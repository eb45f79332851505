"""The search for a tenant's hyper-parameters within a budget, and what it has found. May import lifecycle, lightgcn and
data.
"""
