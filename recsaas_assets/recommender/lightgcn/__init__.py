"""LightGCN: its graph, propagation, losses, trainer and readout (He et al., 2020, arXiv:2002.02126). May import data,
metrics, fitting and the popularity baseline.
"""
