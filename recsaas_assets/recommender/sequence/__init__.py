"""The sequence model: a causal transformer over each user's items in the order of time. Histories, encoder, loss,
trainer. May import lightgcn, fitting and data.
"""
