"""Whole runs of shops whose landing folders hold links to a neighbour's files, or one that kills its reader."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from recsaas_assets.instance.home import dagster_instance
from resources.base.tenant import TenantId
from resources.control_db.uploads import list_uploads
from resources.landing.refused import list_refused
from resources.storage.lake import read_json, read_parquet
from tests.defs.site import Site, interactions_csv, items_csv

APPLE, BERRY = TenantId("apple"), TenantId("berry")
_LONGEST_SECONDS = 240
_RUN = "from recsaas_assets.cli import main; main()"
_RUN_THAT_A_FILE_KILLS = f"""
import os, signal
import recsaas_assets.ingestion.landing as landing
store = landing.store_in_child
def store_or_die(where, upload, policy):
    if upload.filename == "bad.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    return store(where, upload, policy)
landing.store_in_child = store_or_die
{_RUN}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    home = tmp_path / "home"
    parse_manifest(PROJECT_DIR, home / "dbt")
    site = Site(home)
    site.create("apple", "berry")
    yield site
    site.db.close()


@dataclass(frozen=True)
class Killer:
    """What is dropped as `bad.parquet`, the program that reads it, and how many runs end over it before one works."""

    content: bytes
    program: str
    runs_that_end: int


@pytest.fixture
def hostile_file(shared_data: Path) -> Killer:
    """A file that ends the process that parses it: a child, so that the first run works."""
    file = shared_data.parent / "cases" / "hostile" / "signal6-12-3849.parquet"
    if not file.is_file():
        pytest.skip(f"no hostile file at {file}")
    return Killer(file.read_bytes(), _RUN, runs_that_end=0)


def run(site: Site, tenant: TenantId, code: str = _RUN) -> int:
    environment = {**os.environ, "RECSAAS_HOME": str(site.home), "RECSAAS_TRAINING_THREADS": "1"}
    command = [sys.executable, "-c", code, "run", str(tenant), "--json"]
    with open(site.home / "run.log", "ab") as log:
        done = subprocess.run(
            command,
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    return done.returncode


def landing(site: Site, tenant: TenantId) -> Path:
    return Path(str(site.whole_lake.landing_root)) / tenant.value


def drop(site: Site, tenant: TenantId, place: str, content: bytes) -> Path:
    path = landing(site, tenant) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(path, (long_ago, long_ago))
    return path


def metadata(site: Site, asset: str, tenant: TenantId) -> dict[str, Any]:
    with dagster_instance(site.settings) as instance:
        event = instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None and event.asset_materialization is not None
        assert event.asset_materialization.partition == str(tenant)
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_links_to_a_neighbour_s_folders_lead_nowhere(site: Site) -> None:
    for kind, theirs in (("items", items_csv("b-")), ("interactions", interactions_csv("b-"))):
        drop(site, BERRY, f"{kind}/{kind}.csv", theirs.encode())
    for kind, ours in (("items", items_csv("a-")), ("interactions", interactions_csv("a-"))):
        drop(site, APPLE, f"{kind}/ours.csv", ours.encode())
    apple, berry = landing(site, APPLE), landing(site, BERRY)
    (apple / "items" / "theirs.csv").symlink_to(berry / "items" / "items.csv")
    os.link(berry / "items" / "items.csv", apple / "items" / "linked.csv")
    (apple / "users").symlink_to(berry / "items", target_is_directory=True)
    (apple / "interactions" / ".taking").symlink_to(berry / "interactions", target_is_directory=True)
    (apple / "items" / ".refused").symlink_to(berry / "interactions", target_is_directory=True)

    assert run(site, APPLE) == 0, (site.home / "run.log").read_text()
    assert {path.name for path in berry.rglob("*.csv")} == {"items.csv", "interactions.csv"}
    assert not any(path.name.endswith(".why.json") for path in berry.rglob("*"))
    assert {upload.filename for upload in list_uploads(site.db, APPLE)} == {"ours.csv"}
    for table in ("stg_items", "stg_interactions"):
        rows = read_parquet(site.lake("apple").dbt / f"{table}.parquet")
        assert rows["item_id"].str.starts_with("a-").all()
    assert [each.file for each in list_refused(site.whole_lake, APPLE)] == ["items/linked.csv"]
    assert metadata(site, "raw_items", APPLE)["refused_files"].keys() == {"linked.csv"}

    # The neighbour's own file has a second name, so it is theirs to drop again; nobody else has got it.
    shutil.copy2(berry / "items" / "items.csv", berry / "items" / "copy.csv")
    assert run(site, BERRY) == 0, (site.home / "run.log").read_text()
    assert {upload.filename for upload in list_uploads(site.db, BERRY)} == {"copy.csv", "interactions.csv"}


@pytest.mark.parametrize("folder", ["interactions", "interactions/.taking"])
def test_a_file_that_kills_its_reader_is_refused_by_the_first_run(
    site: Site, hostile_file: Killer, folder: str
) -> None:
    """`.taking/` is where versions before this one left such a file, for every later run to die of."""
    assert_it_is_refused_and_the_good_one_beside_it_taken(site, hostile_file, folder)


def test_a_file_that_was_in_hand_when_two_runs_were_killed_is_refused_by_the_next(site: Site) -> None:
    """One may have been killed by anything; the file is read once more."""
    killer = Killer(b"whatever", _RUN_THAT_A_FILE_KILLS, runs_that_end=2)
    assert_it_is_refused_and_the_good_one_beside_it_taken(site, killer, "interactions")
    assert run(site, APPLE, killer.program) == 0, "and it stays so"
    assert len(list_refused(site.whole_lake, APPLE)) == 1


def assert_it_is_refused_and_the_good_one_beside_it_taken(site: Site, killer: Killer, folder: str) -> None:
    drop(site, APPLE, "items/items.csv", items_csv("a-").encode())
    drop(site, APPLE, f"{folder}/bad.parquet", killer.content)
    drop(site, APPLE, "interactions/good.csv", interactions_csv("a-").encode())
    for _ in range(killer.runs_that_end):
        assert run(site, APPLE, killer.program) == -signal.SIGKILL, (site.home / "run.log").read_text()
    assert run(site, APPLE, killer.program) == 0, (site.home / "run.log").read_text()
    assert {upload.filename for upload in list_uploads(site.db, APPLE)} == {"items.csv", "good.csv"}
    assert site.releases("apple").current() is not None
    (refused,) = list_refused(site.whole_lake, APPLE)
    assert refused.file == "interactions/bad.parquet"
    assert metadata(site, "raw_interactions", APPLE)["refused_files"] == {"bad.parquet": refused.code}
    notice = read_json(site.whole_lake.landing(APPLE, "interactions") / "bad.parquet.why.json")
    assert (notice["code"], notice["message"]) == (refused.code, refused.message)
