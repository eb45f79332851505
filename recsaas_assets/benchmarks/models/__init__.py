"""Benchmarks of models: quality on public data beside tuned baselines, new users and items, incremental runs. May
import release and the recommender, and no other benchmarks.
"""
