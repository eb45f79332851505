"""The online program: the web app, and the BentoML service around it. May import `resources`, and nothing of the
pipeline: no Dagster, no dbt, no DuckDB, no torch.
"""
