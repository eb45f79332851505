"""Benchmarks of training: seconds and quality of a fit on the data of the LightGCN paper, several processes, negative
samples a second. May import release and the recommender, and no other benchmarks.
"""
