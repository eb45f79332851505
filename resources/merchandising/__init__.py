"""Merchandising rules: what a shop pins, boosts, buries or hides, where and from when to when, and which items of a
release that are. May import releases and the ranker's eligibility.
"""
