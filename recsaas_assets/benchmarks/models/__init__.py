"""Benchmarks of models: quality on public data, seconds of training, baselines. May import release and the recommender,
and no other benchmarks.
"""
