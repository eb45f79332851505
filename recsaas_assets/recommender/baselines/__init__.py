"""Models to be beaten: popularity, item-kNN, EASE, and ALS and BPR of `implicit`. May import data and metrics."""
