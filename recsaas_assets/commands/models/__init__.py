"""Commands about models: a run or a backfill, a search, how good the live release measured. May import what the
commands share, the instance and the recommender.
"""
