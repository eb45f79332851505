"""Decisions about Dagster runs: which tenants need one, why one failed, how a training job becomes one. Imports no
other package of the pipeline.
"""
