"""Programs that `recsaas bench serve` starts: the yardstick, and the app under a sampler. May import the app; nothing
imports them.
"""
