"""Commands about tenants, their keys and their users. May import what the commands of `recsaas` share, and the
recommender's search.
"""
