"""The graph as it is wired. The snapshot is meant to be read in a diff."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dagster import AssetKey, DefaultSensorStatus, Definitions, in_process_executor
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from recsaas_assets.defs.common.partitions import tenants_partitions

SNAPSHOT = Path(__file__).parent / "snapshots" / "graph.json"
UPDATE = "RECSAAS_UPDATE_SNAPSHOTS"


def graph_of(definitions: Definitions) -> AssetGraph:
    return definitions.resolve_asset_graph()


def described(definitions: Definitions) -> dict[str, Any]:
    """What somebody who reviews a change of the graph wants to see."""
    graph = graph_of(definitions)
    repository = definitions.get_repository_def()
    names = sorted(graph.get_all_asset_keys(), key=AssetKey.to_user_string)
    checks = graph.asset_check_keys
    assets = {}
    for key in names:
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "group": node.group_name,
            "owners": list(node.owners),
            "kinds": sorted(node.kinds),
            "partitions": getattr(node.partitions_def, "name", None),
            "checks": {
                check.name: "blocking" if graph.get_check_spec(check).blocking else "not blocking"
                for check in sorted(checks)
                if check.asset_key == key
            },
        }
    jobs = {job.name: getattr(job.partitions_def, "name", None) for job in repository.get_all_jobs()}
    return {
        "assets": assets,
        "jobs": {name: partitions for name, partitions in sorted(jobs.items()) if not name.startswith("__")},
        "sensors": {
            sensor.name: {"status": sensor.default_status.value, "seconds": sensor.minimum_interval_seconds}
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
    }


def test_the_graph_is_the_reviewed_one(definitions: Definitions) -> None:
    found = json.dumps(described(definitions), indent=2) + "\n"
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found)
    assert json.loads(found) == json.loads(SNAPSHOT.read_text()), (
        f"The graph has changed. If that is meant, run `{UPDATE}=1 python -m pytest {Path(__file__).name}` "
        f"and review the diff of {SNAPSHOT.name}."
    )


def test_every_asset_says_what_it_is_and_whose(definitions: Definitions) -> None:
    graph = graph_of(definitions)
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        missing = [
            name
            for name, value in {
                "description": node.description,
                "owners": node.owners,
                "kinds": node.kinds,
                "code_version": node.code_version,
                "group": node.group_name if node.group_name != "default" else None,
            }.items()
            if not value
        ]
        assert not missing, f"{key.to_user_string()} has no {', '.join(missing)}"
        assert node.partitions_def == tenants_partitions
        assert node.is_executable, f"{key.to_user_string()} is only named as a dependency"


def test_every_check_is_of_one_tenant(definitions: Definitions) -> None:
    """An unpartitioned blocking check that fails for one tenant holds back all the others."""
    graph = graph_of(definitions)
    unpartitioned = [key for key in graph.asset_check_keys if graph.get(key).partitions_def != tenants_partitions]
    assert graph.asset_check_keys
    assert unpartitioned == []


def test_the_job_runs_every_asset_and_check_in_one_process(definitions: Definitions) -> None:
    graph = graph_of(definitions)
    job = definitions.resolve_job_def("tenant_pipeline")
    assert job.executor_def is in_process_executor
    assert set(job.asset_layer.executable_asset_keys) == set(graph.get_all_asset_keys())
    assert set(job.asset_layer.asset_graph.asset_check_keys) == set(graph.asset_check_keys)


def test_everything_starts_by_itself(definitions: Definitions) -> None:
    for sensor in definitions.get_repository_def().sensor_defs:
        assert sensor.default_status is DefaultSensorStatus.RUNNING, sensor.name
