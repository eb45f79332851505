"""The features of a tenant at the times of its split, so that no model looks at what it is measured on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from upath import UPath

from recsaas_assets.features.point_in_time import features_as_of
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory, Features
from resources.storage.disk import work_folder
from resources.storage.lake import TenantLake, read_parquet


def build_feature_history(
    tenant_lake: TenantLake, training_set: TrainingSet, *, target_dir: Path, memory_bytes: int
) -> FeatureHistory:
    """Build the features before validation and before the test; those of now are there.

    A training set that cannot be split has the features of now everywhere, as its parts are the same too.

    Raises:
        CorruptArtifact: the tenant's own features are missing.
        FeatureBuildFailed: a raw file is missing, or dbt or one of its nodes failed.
    """
    catalogue = read_parquet(tenant_lake.dbt / "stg_items.parquet", columns=["item_id", "category", "price"])
    full = Features.from_dbt(tenant_lake.dbt, catalogue, training_set)
    split = training_set.split

    def before(time: datetime | None) -> Features:
        if time is None:
            return full
        with work_folder(tenant_lake.scratch, "features") as folder:
            features_as_of(tenant_lake, time, folder, target_dir=target_dir, memory_bytes=memory_bytes)
            return Features.from_dbt(UPath(folder), catalogue, training_set)

    return FeatureHistory(
        train=before(split.validation_start),
        before_test=before(split.test_start),
        full=full,
    )
