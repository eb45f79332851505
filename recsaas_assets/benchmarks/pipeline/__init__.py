"""Benchmarks of the pipeline: uploads, features, whole runs, many tenants. May import the platform and everything below
it.
"""
