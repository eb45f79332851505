"""Ranking metrics for each user, bootstrap intervals of their means, holdouts, and how exposure spreads over the
catalogue. May import data.
"""
