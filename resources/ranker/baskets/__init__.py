"""What goes with a basket: the ranker's answer from the bundle table of its release. May import the ranker."""
