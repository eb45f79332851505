"""Features by dbt: its manifest, one build for one tenant, features as of a time, and what its tests have found. May
import the recommender's data.
"""
