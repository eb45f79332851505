"""Benchmarks of models: quality on public data, against baselines, for new users and items. May import release and the
recommender, and no other benchmarks.
"""
