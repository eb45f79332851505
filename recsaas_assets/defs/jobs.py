"""The one job: everything from raw to release for one tenant."""

from dagster import AssetSelection, define_asset_job

from recsaas_assets.defs.partitions import tenants_partitions

TENANT_JOB = "tenant_pipeline"

tenant_pipeline = define_asset_job(
    name=TENANT_JOB,
    selection=AssetSelection.all(),
    partitions_def=tenants_partitions,
    description="Raw tables, features, training set, model, evaluation, index and release of one tenant.",
)
