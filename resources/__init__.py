"""What both programs share: settings, storage, the control DB, uploads, releases, the ranker. Plain Python: no Dagster
(but for `dagster_resources.py`), no BentoML, no torch, no dbt, no web framework.
"""
