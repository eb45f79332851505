"""The two-tower model over ids, history and features: encoding, towers, loss, trainer. May import lightgcn, fitting and
data.
"""
