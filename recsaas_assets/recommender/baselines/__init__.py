"""Models to be beaten: popularity, and ALS and BPR of `implicit`. May import data and metrics."""
