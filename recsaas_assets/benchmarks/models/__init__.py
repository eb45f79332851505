"""Benchmarks of models: quality on public data, seconds of training, baselines. May import the recommender and release.
"""
