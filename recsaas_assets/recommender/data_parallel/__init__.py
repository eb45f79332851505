"""One fit by several processes of one machine, each with its share of the users. May import lightgcn and data."""
