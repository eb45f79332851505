"""How good a model is, beside baselines and the live release, and whether it may go live. May import lifecycle, the
models, baselines and metrics.
"""
