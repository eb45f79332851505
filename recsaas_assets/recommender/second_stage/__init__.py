"""Boosted trees that put the first candidates into another order, and what that gains. May import evaluation,
lifecycle, metrics and data.
"""
