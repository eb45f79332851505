"""`training_features`: real dbt builds at the times of the split, for a tenant that asks for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dagster import DagsterInstance, MetadataValue, materialize

from recsaas_assets.defs.models.two_tower import training_features, two_tower_model
from recsaas_assets.features.dbt_runner import run_dbt
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from resources.base.tenant import TenantId
from resources.control_db.tenants import create_tenant
from resources.dagster_resources import PlatformResource, TenantRunResource
from resources.storage.lake import TenantLake, read_parquet
from resources.tenants.settings import TenantSettings

pytestmark = [
    pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning"),
    # Dagster's own code for a resource within a resource calls what Dagster deprecates.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"),
]

BLUE = "blue-shop"
START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = {"dim": 4, "hidden": 4, "steps": 2, "negatives": 8}


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", [BLUE])
        yield instance


def a_tenant(home: Path, training: dict[str, Any]) -> None:
    settings = TenantSettings.model_validate({"training": training})
    create_tenant(PlatformResource(home=str(home)).db, TenantId(BLUE), name="Blue", now=START, settings=settings)


def materialised(home: Path, instance: DagsterInstance, *assets: Any) -> list[dict[str, MetadataValue[Any]]]:
    result = materialize(
        list(assets),
        partition_key=BLUE,
        instance=instance,
        resources={"tenant_run": TenantRunResource(platform=PlatformResource(home=str(home)))},
    )
    return [dict(event.materialization.metadata) for event in result.get_asset_materialization_events()]


def with_training_set(lake: TenantLake, target_dir: Path) -> TrainingSet:
    run_dbt(["run", "--exclude", "data_quality"], tenant_lake=lake, target_dir=target_dir)
    signals = read_parquet(lake.dbt / "int_interaction_signals.parquet")
    data = build_training_set(signals, read_parquet(lake.dbt / "stg_items.parquet")["item_id"], 10)
    data.save(lake.training)
    return data


def test_features_and_model_of_a_tenant_that_asks_for_two_towers(
    tmp_path: Path, target_dir: Path, make_tenant: Any, instance: DagsterInstance
) -> None:
    """One view an hour: each part of the split counts the views before it, and the model is the tenant's."""
    shutil.copytree(target_dir, tmp_path / "dbt", ignore=shutil.ignore_patterns("work", "logs"))
    rows = [
        {"user_id": f"u{n % 4}", "item_id": f"i{n * n % 5}", "interaction_type": "view", "upload_id": "events",
         "timestamp": START + timedelta(hours=n), "row_number": n + 2}
        for n in range(40)
    ]  # fmt: skip
    catalogue = [
        {"item_id": "new", "title": "New", "category": "lamps", "price": 3.0, "upload_id": "items", "row_number": 2}
    ]
    lake = make_tenant(tmp_path, BLUE, interactions=rows, items=catalogue)
    data = with_training_set(lake, tmp_path / "dbt")
    a_tenant(tmp_path, {"model_type": "two_tower", "hyperparameters": SMALL})
    metadata = materialised(tmp_path, instance, training_features, two_tower_model)
    history = FeatureHistory.load(lake.features_at, data)
    views = history.full.users.names.index("view_count")
    totals = [np.nansum(each.users.values[:, views]) for each in (history.train, history.before_test, history.full)]
    assert totals == [data.split.train_interactions, 36, 40]
    new = history.full.items.values[data.items.rows(["new"])[0]]
    assert dict(zip(history.full.items.names, new, strict=True))["category=lamps"] == 1
    assert "view_count" in str(metadata[0]["columns"].value)
    model = TrainedModel.load(lake.model, data)
    assert model.config.model_type == "two_tower" and model.release.items.shape == (4, 4)
    assert model.release.items[data.items.rows(["new"])[0]].any()


def test_a_tenant_that_does_not_ask_has_none_and_is_told_how(tmp_path: Path, instance: DagsterInstance) -> None:
    a_tenant(tmp_path, {})
    for metadata in materialised(tmp_path, instance, training_features, two_tower_model):
        assert f"recsaas tenant settings {BLUE} --set training.model_type=two_tower" in str(metadata["status"].value)
