"""What models learn from: the training set with its splits, ids and rows, content of items, features, negatives.
Imports no other package of the pipeline.
"""
