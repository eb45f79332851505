"""The one job: everything from raw to release for one tenant."""

from dagster import AssetSelection, define_asset_job

TENANT_JOB = "tenant_pipeline"

tenant_pipeline = define_asset_job(
    name=TENANT_JOB,
    selection=AssetSelection.all(),
    description="Raw tables, features, training set, model, evaluation, index and release of one tenant.",
)
