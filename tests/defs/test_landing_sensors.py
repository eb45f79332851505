"""Sensors that look at dropped files, one tick at a time, on an instance that runs nothing."""

from __future__ import annotations

import os
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunRequest

from recsaas_assets.runs.run_requests import Request, digest, to_cursor
from resources.base.tenant import TenantId
from resources.storage.lake import write_bytes, write_json
from resources.storage.listing import list_files
from tests.defs.site import Site, interactions_csv
from tests.defs.ticks import LONG_AGO, requested, run_of


def test_what_an_older_version_gave_up_is_tried_again(site: Site, instance: DagsterInstance, tick: Any) -> None:
    """It left a file that kills its reader in `.taking/`, and remembered that the run for it had failed."""
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    dropped = site.whole_lake.landing(TenantId("apple"), "interactions")
    for name in (".taking/bad.parquet", "good.csv"):
        write_bytes(dropped / name, interactions_csv("a", 2, 2, rows=3).encode())
        os.utime(str(dropped / name), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    marks = [f"interactions/{file.name} {file.mark}" for file in list_files(dropped)]
    asked = Request(digest(marks), "apple:1", times=1)
    tick.cursors["new_uploads"] = to_cursor({TenantId("apple"): asked})
    run_of(instance, RunRequest(run_key=asked.key, partition_key="apple"), DagsterRunStatus.FAILURE)
    (request,) = tick().run_requests
    run_of(instance, request, DagsterRunStatus.FAILURE)
    assert requested(tick()) == []


def test_every_death_with_a_file_in_hand_starts_another_run_until_it_is_refused(
    site: Site, instance: DagsterInstance, tick: Any
) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    lake = site.lake("apple")
    for folder in (lake.taking("interactions"), lake.taking("users")):
        write_bytes(folder / "a.csv", b"x")
        os.utime(str(folder / "a.csv"), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    for deaths in (1, 2):
        write_json(lake.in_hand("interactions"), {"file": "a.csv", "times": deaths})
        (request,) = tick().run_requests
        run_of(instance, request, DagsterRunStatus.FAILURE)
        assert requested(tick()) == []


def test_files_where_no_run_looks_are_refused_and_links_are_named(site: Site, tick: Any) -> None:
    site.create("apple", "berry")
    root = site.whole_lake.landing_root
    for name in ("apple/products/a.csv", "nobody/products/a.csv"):
        write_bytes(root / name, b"x")
        os.utime(str(root / name), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    os.symlink("../apple/products", root / "apple" / "items")
    assert tick("misplaced_files").skip_message == (
        "apple/products/a.csv was refused. "
        "landing/apple/items is a link, and nothing behind it is taken: mount the folder there."
    )
    assert (root / "apple" / "products" / "a.csv.why.json").exists()
    os.unlink(root / "apple" / "items")
    assert tick("misplaced_files").skip_message == "Every dropped file lies where it belongs."
