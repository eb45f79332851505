"""The asset `second_stage_model` by what the tenant's settings say of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import DagsterInstance, materialize

from recsaas_assets.defs.models.second_stage import second_stage_model
from recsaas_assets.recommender.second_stage.model import SecondStageModel
from resources.base.tenant import TenantId
from resources.control_db.tenants import create_tenant
from resources.dagster_resources import PlatformResource, TenantRunResource
from resources.storage.lake import write_parquet
from resources.tenants.settings import TenantSettings, TrainingSettings
from tests.unit.recsaas_assets.recommender.second_stage.conftest import Case

# Dagster's own code for a resource within a resource calls what Dagster deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning")
BLUE = "blue-shop"


def materialised(home: Path, case: Case, training: dict[str, Any]) -> tuple[str, SecondStageModel | None]:
    """The status that the asset shows, and what it has stored."""
    resource = TenantRunResource(platform=PlatformResource(home=str(home)))
    platform = PlatformResource(home=str(home))
    settings = TenantSettings.model_validate({"training": training})
    create_tenant(platform.db, TenantId(BLUE), name="Blue", now=datetime(2026, 1, 1, tzinfo=UTC), settings=settings)
    lake = platform.lake.tenant(TenantId(BLUE))
    case.data.save(lake.training)
    case.model.save(lake.model)
    items = pl.DataFrame({"item_id": case.data.items.ids, "category": None, "price": case.catalogue.price})
    write_parquet(lake.dbt / "stg_items.parquet", items.with_columns(pl.col("category").cast(pl.String)))
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", [BLUE])
        result = materialize(
            [second_stage_model], partition_key=BLUE, instance=instance, resources={"tenant_run": resource}
        )
    (event,) = result.get_asset_materialization_events()
    stored = SecondStageModel.is_stored(lake.second_stage)
    loaded = SecondStageModel.load(lake.second_stage, case.model) if stored else None
    return str(event.materialization.metadata["status"].value), loaded


def test_by_default_a_shop_with_few_users_to_learn_from_goes_without_and_is_told(case: Case, tmp_path: Path) -> None:
    status, stored = materialised(tmp_path, case, {})

    assert status.startswith("No second stage: the validation period has 79 users to learn from")
    assert stored is not None and stored.trees is None and not stored.verdict.goes_live


def test_a_tenant_who_asks_gets_one(case: Case, tmp_path: Path) -> None:
    status, stored = materialised(tmp_path, case, {"second_stage": True})

    assert "goes live" in status
    assert stored is not None and stored.trees is not None


def test_a_tenant_who_wants_none_has_none(case: Case, tmp_path: Path) -> None:
    status, stored = materialised(tmp_path, case, {"second_stage": False})

    assert (stored, "training.second_stage=auto" in status) == (None, True)


def test_settings_of_before_stay_valid() -> None:
    assert TrainingSettings().second_stage == "auto"
    for value in (True, False, "auto"):
        assert TrainingSettings.model_validate({"second_stage": value}).second_stage is value
    with pytest.raises(ValueError, match="second_stage"):
        TrainingSettings.model_validate({"second_stage": "sometimes"})
