"""Routes about answers: recommendations, batches, exports, receipts, and why an item is not in a list. May import what
the routes share and `recommending`.
"""
