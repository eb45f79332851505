"""The dbt models as Dagster assets of one tenant: real runs on an ephemeral instance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dagster import AssetCheckSeverity, AssetKey, AssetSelection, DagsterInstance, ExecuteInProcessResult, materialize

from recsaas_assets.defs.common.partitions import tenants_partitions
from resources.base.tenant import TenantId
from resources.control_db.tenants import create_tenant
from resources.dagster_resources import PlatformResource, TenantRunResource

pytestmark = [
    # Importing dagster_dbt imports sqlglot, which warns about its own accelerator package.
    pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning"),
    # Dagster's own code for a resource within a resource calls what Dagster deprecates.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"),
]

BLUE = "blue-shop"


@pytest.fixture
def home(tmp_path: Path, target_dir: Path) -> Path:
    """An installation with one tenant, which starts from the session's parse."""
    shutil.copytree(target_dir, tmp_path / "dbt", ignore=shutil.ignore_patterns("work", "logs"))
    db = PlatformResource(home=str(tmp_path)).db
    create_tenant(db, TenantId(BLUE), name="Blue shop", now=datetime(2026, 1, 1, tzinfo=UTC))
    return tmp_path


@pytest.fixture
def features(home: Path) -> ModuleType:
    """The module parses the project below RECSAAS_HOME when it is imported."""
    before = os.environ.get("RECSAAS_HOME")
    os.environ["RECSAAS_HOME"] = str(home)
    try:
        from recsaas_assets.defs.data import features
    finally:
        if before is None:
            del os.environ["RECSAAS_HOME"]
        else:
            os.environ["RECSAAS_HOME"] = before
    return features


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", [BLUE])
        yield instance


def run(
    features: ModuleType, home: Path, instance: DagsterInstance, selection: AssetSelection | None = None
) -> ExecuteInProcessResult:
    return materialize(
        [features.features],
        selection=selection,
        tags={"dagster/partition": BLUE},  # what `partition_key` sets, which refuses a selection of checks alone
        instance=instance,
        resources={"tenant_run": TenantRunResource(platform=PlatformResource(home=str(home)))},
        raise_on_error=False,
    )


def check_results(result: ExecuteInProcessResult) -> dict[str, Any]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_every_model_is_materialised_with_its_checks(
    features: ModuleType, home: Path, instance: DagsterInstance, make_tenant: Any, two_interactions: Any
) -> None:
    make_tenant(home, interactions=two_interactions("ana"))
    result = run(features, home, instance)
    assert result.success
    materialised = {event.asset_key.path[-1]: event for event in result.get_asset_materialization_events()}
    assert len(materialised) == 12
    metadata = materialised["interaction_weights"].materialization.metadata
    assert metadata["dagster/row_count"].value == 1
    assert "| ••• | ana's item | 6.0 | 2 |" in metadata["preview"].value
    evaluations = check_results(result)
    assert len(evaluations) == len(list(features.features.check_specs))
    assert {evaluation.passed for evaluation in evaluations.values()} == {True}
    assert {evaluation.partition for evaluation in evaluations.values()} == {BLUE}


def test_every_check_is_partitioned_by_tenant(features: ModuleType) -> None:
    assert {spec.partitions_def for spec in features.features.check_specs} == {tenants_partitions}


def test_the_models_depend_on_the_raw_assets(features: ModuleType) -> None:
    deps = {spec.key.path[-1]: {dep.asset_key.path[-1] for dep in spec.deps} for spec in features.features.specs}
    assert deps["stg_items"] == {"raw_items", "raw_uploads"}
    assert deps["stg_users"] == {"raw_users", "raw_uploads"}
    assert deps["stg_interactions"] == {"raw_interactions", "raw_uploads"}
    assert deps["interaction_weights"] == {"int_interaction_signals", "int_kept_lines", "raw_uploads"}
    assert {spec.group_name for spec in features.features.specs} == {"features"}


def test_a_failed_test_is_a_failed_check_and_a_failed_run(
    features: ModuleType, home: Path, instance: DagsterInstance, make_tenant: Any, two_interactions: Any
) -> None:
    ledger = {"upload_id": "up", "kind": "interactions", "sequence": 1, "rows_accepted": 1, "rows_rejected": 0}
    rows = [{**row, "upload_id": "up"} for row in two_interactions("ana")]
    lake = make_tenant(home, interactions=rows, uploads=[{**ledger, "rows_duplicate": 0}])
    result = run(features, home, instance)
    assert not result.success
    failed = {name: e for name, e in check_results(result).items() if not e.passed}
    assert "no_more_rows_are_stored_than_were_accepted" in failed
    assert {evaluation.severity for evaluation in failed.values()} == {AssetCheckSeverity.ERROR}
    assert not result.get_asset_materialization_events()
    assert not (lake.dbt / "stg_interactions.parquet").exists()


def test_a_warning_is_reported_and_the_run_goes_on(
    features: ModuleType, home: Path, instance: DagsterInstance, make_tenant: Any
) -> None:
    poor = {"upload_id": "u1", "kind": "items", "sequence": 1, "rows_accepted": 1, "rows_rejected": 9}
    make_tenant(home, uploads=[{**poor, "rows_duplicate": 0}])
    result = run(features, home, instance)
    assert result.success
    check = check_results(result)["at_least_half_of_each_upload_is_valid"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)


def test_a_subset_of_models_and_checks_alone(
    features: ModuleType, home: Path, instance: DagsterInstance, make_tenant: Any, two_interactions: Any
) -> None:
    make_tenant(home, interactions=two_interactions("ana"))
    result = run(features, home, instance, AssetSelection.assets("stg_items"))
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [AssetKey("stg_items")]
    assert {evaluation.asset_key for evaluation in result.get_asset_check_evaluations()} == {AssetKey("stg_items")}

    result = run(features, home, instance, AssetSelection.checks_for_assets("stg_items"))
    assert result.success
    assert not result.get_asset_materialization_events()
    assert len(check_results(result)) == 4
