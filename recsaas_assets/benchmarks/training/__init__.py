"""Benchmarks of training: seconds and quality on Gowalla, beside a reference loop, draws of negatives, several
processes. May import the recommender, and no other benchmarks.
"""
