"""The index, the release, and the checks on the way to them. May import release, the recommender and the assets that
come before.
"""
