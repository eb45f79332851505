"""Tenants stay apart, files are whole or absent, and a failure says what failed."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsaas_assets.features.dbt_runner import FeatureBuildFailed, read_build, run_dbt
from resources.base.errors import CorruptArtifact
from resources.storage.lake import TenantLake, read_parquet, write_parquet

BUILD = ["build", "--exclude-resource-type", "unit_test"]


def digests(lake: TenantLake) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lake.dbt.iterdir()}


def users_of(lake: TenantLake, model: str) -> set[str]:
    return set(read_parquet(lake.dbt / f"{model}.parquet")["user_id"])


def test_a_subset_run_writes_the_rows_of_its_own_tenant(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    """dbt-duckdb keeps `:memory:` open in the process: tenant B's subset run used to read tenant A's tables."""
    blue = make_tenant(tmp_path, "blue", interactions=two_interactions("blue user"))
    red = make_tenant(tmp_path, "red", interactions=two_interactions("red user"))
    run_dbt(["run", "--select", "stg_interactions"], tenant_lake=red, target_dir=target_dir)
    run_dbt(["run"], tenant_lake=blue, target_dir=target_dir)
    before = digests(blue)

    run_dbt(["build", "--select", "int_sessions"], tenant_lake=red, target_dir=target_dir)

    assert users_of(red, "int_sessions") == {"red user"}
    assert digests(blue) == before


def test_a_subset_run_fails_when_its_parents_were_never_built(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    """The other tenant's tables of the run before must not be there to fall back on."""
    blue = make_tenant(tmp_path, "blue", interactions=two_interactions("blue user"))
    red = make_tenant(tmp_path, "red", interactions=two_interactions("red user"))
    run_dbt(["run"], tenant_lake=blue, target_dir=target_dir)

    with pytest.raises(FeatureBuildFailed, match="'red': model int_sessions failed"):
        run_dbt(["run", "--select", "int_sessions"], tenant_lake=red, target_dir=target_dir)

    assert digests(red) == {}


def test_no_connection_is_open_after_a_run_or_a_failure(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    lake = make_tenant(tmp_path)
    run_dbt(["run", "--select", "stg_items"], tenant_lake=lake, target_dir=target_dir)
    assert DuckDBConnectionManager._ENV is None
    with pytest.raises(FeatureBuildFailed):
        run_dbt(["run", "--select", "int_sessions"], tenant_lake=lake, target_dir=target_dir)
    assert DuckDBConnectionManager._ENV is None


def test_two_threads_take_turns(tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any) -> None:
    lakes = [make_tenant(tmp_path, name, interactions=two_interactions(name)) for name in ("blue", "red")]
    args = ["run", "--select", "stg_interactions"]
    threads = [
        threading.Thread(target=run_dbt, args=(args,), kwargs={"tenant_lake": lake, "target_dir": target_dir})
        for lake in lakes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [users_of(lake, "stg_interactions") for lake in lakes] == [{"blue"}, {"red"}]


def test_a_failed_data_test_is_named_and_the_old_files_stay(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    lake = make_tenant(tmp_path, interactions=two_interactions("ana"))
    run_dbt(["run"], tenant_lake=lake, target_dir=target_dir)
    before = digests(lake)
    ledger = {"upload_id": "up", "kind": "interactions", "sequence": 1, "rows_accepted": 1, "rows_rejected": 0}
    rows = [{**row, "upload_id": "up"} for row in two_interactions("bo")]
    make_tenant(tmp_path, interactions=rows, uploads=[{**ledger, "rows_duplicate": 0}])

    with pytest.raises(FeatureBuildFailed, match="'blue-shop': test no_more_rows_are_stored_than_were") as failure:
        run_dbt(BUILD, tenant_lake=lake, target_dir=target_dir)

    assert digests(lake) == before
    assert [path.name for path in lake.root.iterdir() if path.name.startswith(".")] == []
    assert failure.value.result is not None
    failed = {node.name: node.failures for node in failure.value.result.tests() if node.failed}
    assert failed == {"no_more_rows_are_stored_than_were_accepted": 1}


def test_a_model_that_cannot_be_computed_is_named(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    lake = make_tenant(tmp_path, interactions=two_interactions("ana"))
    broken = read_parquet(lake.raw("interactions")).with_columns(pl.lit("not a number").alias("price"))
    write_parquet(lake.raw("interactions"), broken)
    with pytest.raises(FeatureBuildFailed, match=r"model stg_interactions .*failed"):
        run_dbt(["run"], tenant_lake=lake, target_dir=target_dir)
    assert digests(lake) == {}


@pytest.mark.parametrize("name", ["items", "users", "interactions", "raw_uploads", "tenant_settings"])
def test_a_missing_raw_file_is_not_an_empty_tenant(
    tmp_path: Path, target_dir: Path, make_tenant: Any, name: str
) -> None:
    lake = make_tenant(tmp_path)
    lake.raw(name).unlink()
    with pytest.raises(FeatureBuildFailed, match=f"'blue-shop' has no raw {name}"):
        run_dbt(BUILD, tenant_lake=lake, target_dir=target_dir)


def test_settings_must_be_one_row(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    """Without this, no settings would mean no signals: an empty result and a green run."""
    lake = make_tenant(tmp_path)
    write_parquet(lake.raw("tenant_settings"), read_parquet(lake.raw("tenant_settings")).clear())
    with pytest.raises(FeatureBuildFailed, match="must be one row"):
        run_dbt(BUILD, tenant_lake=lake, target_dir=target_dir)


def test_a_selection_that_names_nothing_fails(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    with pytest.raises(FeatureBuildFailed, match="no node"):
        run_dbt(["build", "--select", "no_such_model"], tenant_lake=make_tenant(tmp_path), target_dir=target_dir)


def test_a_tenants_folder_may_have_quotes_and_blanks(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    lake = make_tenant(tmp_path / "o'brien's shop", interactions=two_interactions("ana"))
    run_dbt(["run", "--select", "stg_interactions"], tenant_lake=lake, target_dir=target_dir)
    run_dbt(["run", "--select", "int_sessions"], tenant_lake=lake, target_dir=target_dir)
    assert users_of(lake, "int_sessions") == {"ana"}


def test_the_build_record_names_the_last_published_invocation(
    tmp_path: Path, target_dir: Path, make_tenant: Any
) -> None:
    lake = make_tenant(tmp_path)
    with pytest.raises(CorruptArtifact):
        read_build(lake)
    result = run_dbt(["run", "--select", "stg_items"], tenant_lake=lake, target_dir=target_dir)
    record = read_build(lake)
    assert (record.invocation_id, record.project_hash) == (result.invocation_id, result.project_hash)


def test_memory_is_bounded_and_too_little_of_it_is_a_reason(
    tmp_path: Path, target_dir: Path, make_tenant: Any, two_interactions: Any
) -> None:
    lake = make_tenant(tmp_path, interactions=two_interactions("ana"))
    with pytest.raises(FeatureBuildFailed, match="emory"):
        run_dbt(["run"], tenant_lake=lake, target_dir=target_dir, memory_bytes=1000)
