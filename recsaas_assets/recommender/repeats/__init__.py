"""Repeat purchases: whether items that a user has bought come again in the lists, and when, learned from each shop's
own interactions and measured before it is served.
"""
