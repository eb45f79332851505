"""`recsaas up` as an operator runs it: two shops upload at once, a third one drops files, a run is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest

from recsaas_assets.sample.shop import generate_shop
from recsaas_assets.sample.writer import write_shop
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from resources.training.runs import list_runs
from tests.e2e.test_journey import RECSAAS, processes_of, recsaas

pytestmark = pytest.mark.e2e
SECONDS_TO_LIVE = 900


@dataclass(frozen=True)
class Platform:
    """A running platform."""

    home: Path
    service: str


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    home, log = tmp_path / "home", tmp_path / "up.log"
    environment = os.environ | {
        "RECSAAS_HOME": str(home),
        "RECSAAS_SERVICE_PORT": "0",
        "RECSAAS_DAGSTER_PORT": "0",
    }
    with log.open("wb") as out:
        process = subprocess.Popen([RECSAAS, "up"], env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        found = None
        deadline = time.monotonic() + SECONDS_TO_LIVE
        while found is None:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
            found = re.search(r"Service\s+(http\S+)", log.read_text())
        yield Platform(home, found[1])
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=300)
    assert code == 0, log.read_text()
    assert not processes_of(home)


def shop_files(folder: Path, prefix: str, seed: int) -> dict[str, Path]:
    """A small shop whose every user and item id begins with `prefix`."""
    write_shop(generate_shop(users=150, items=60, interactions=2500, seed=seed, end=datetime.now(UTC)), folder)
    files = {kind: folder / f"{kind}.csv" for kind in ("items", "interactions")}
    for path in files.values():
        frame = pl.read_csv(path, infer_schema=False)
        ids = [name for name in ("user_id", "item_id") if name in frame.columns]
        renamed = [pl.concat_str(pl.lit(prefix), pl.col(name)).alias(name) for name in ids]
        frame.with_columns(renamed).write_csv(path)
    return files


def kill_first_run(home: Path, tenant: str) -> None:
    """Kill the process of the tenant's run as soon as it holds the tenant's lock, before it has stored anything."""
    lock = home / "locks" / f"{tenant}.lock"
    deadline = time.monotonic() + SECONDS_TO_LIVE
    while not (lock.exists() and lock.read_text()):
        assert time.monotonic() < deadline, f"{tenant} has no run"
        time.sleep(0.005)
    inode = str(lock.stat().st_ino)
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    (holder,) = {int(fields[4]) for fields in held if fields[1] == "FLOCK" and fields[5].split(":")[-1] == inode}
    os.kill(holder, signal.SIGKILL)


def test_two_shops_and_a_dropped_one_go_live_though_a_run_is_killed_and_nothing_mixes(
    platform: Platform, tmp_path: Path
) -> None:
    keys, files = {}, {}
    for seed, name in enumerate(("red", "blue", "green")):
        made = recsaas(platform.home, "tenant", "create", name, "--json")
        keys[name] = json.loads(made.stdout)["api_key"]
        files[name] = shop_files(tmp_path / name, f"{name}-", seed)
    for name in ("red", "blue"):
        for kind in ("items", "interactions"):
            with files[name][kind].open("rb") as content:
                answer = httpx.post(
                    f"{platform.service}/api/v1/upload/{kind}",
                    files={"file": (f"{kind}.csv", content)},
                    headers={"Authorization": f"Bearer {keys[name]}"},
                    timeout=60,
                )
            assert answer.json()["status"] == "success", answer.text
    landing = Lake.open(str(platform.home / "lake"))
    for kind in ("items", "interactions"):
        folder = landing.landing(TenantId("green"), kind)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{kind}.csv").write_bytes(files["green"][kind].read_bytes())

    kill_first_run(platform.home, "blue")
    waiting, deadline = set(keys), time.monotonic() + SECONDS_TO_LIVE
    while waiting:
        assert time.monotonic() < deadline, f"not live: {waiting}"
        time.sleep(1)
        for name in sorted(waiting):
            answer = httpx.get(
                f"{platform.service}/recommend/nobody?k=60",
                headers={"Authorization": f"Bearer {keys[name]}"},
                timeout=60,
            )
            if answer.status_code == 200:
                served = [item["item_id"] for item in answer.json()["recommendations"]]
                assert served and all(item.startswith(f"{name}-") for item in served)
                waiting.discard(name)
    db = open_control_db(f"sqlite:///{platform.home}/control.db")
    *_, killed = list_runs(db, TenantId("blue"))
    assert killed.status == "failed"
    db.close()
    for name in keys:
        root = Path(str(landing.tenant(TenantId(name)).root))
        for path in root.rglob("*.parquet"):
            frame = pl.read_parquet(path)
            for column in {"user_id", "item_id"} & set(frame.columns):
                assert frame[column].drop_nulls().str.starts_with(f"{name}-").all(), path
