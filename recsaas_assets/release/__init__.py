"""From a trained model to a release: what goes into it, its manifest, and a package with the service. May import the
recommender and ingestion.
"""
