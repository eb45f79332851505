"""Item–item models, item-kNN and EASE: fitted into tables that a release can hold, with what is chosen on validation.
May import data, metrics, baselines and the table of a release.
"""
