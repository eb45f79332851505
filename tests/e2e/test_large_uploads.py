"""A large upload outlives the process that received it: kill −9 while it is checked, start again, stored once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import pytest

from recsaas_assets.platform.ports import free_port
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.uploads import list_uploads
from resources.jobs.kinds.uploads import get_upload_job
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload
from tests.unit.bento_service.shop import Shop, open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.long]
ROOT = Path(__file__).parents[2]
ROWS = 300_000
DEADLINE_SECONDS = 600  # work beside the answers steps back for everything else on the machine


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(Settings(home=tmp_path).database_url)
    yield db
    db.close()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file of interactions that takes seconds to check; every 1,000th row has no user."""
    file = tmp_path / "events.csv"
    row = pl.int_range(ROWS)
    pl.LazyFrame({"user_id": [0]}).select(
        user_id=pl.when(row % 1000 == 0).then(pl.lit("")).otherwise(pl.format("u{}", row % 5000)),
        item_id=pl.format("i{}", row % 3001),
        interaction_type=pl.lit("view"),
        timestamp=1_700_000_000 + row,
    ).collect().write_csv(file)
    return file


@contextmanager
def service(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A service over `home`; every process of it is dead at the end."""
    port = free_port("127.0.0.1", 0)
    command = ["-m", "bentoml", "serve", "bento_service.service:RecsaasService", "--host", "127.0.0.1"]
    environment = os.environ | {
        "RECSAAS_HOME": str(home),
        "RECSAAS_INLINE_UPLOAD_BYTES": "1000000",
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with (home / "service.log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            yield process, http
    finally:
        kill_all(process)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill −9 the service and its workers: BentoML gives each of them a session of its own, and they outlive it."""
    if process.poll() is not None:
        return
    killed = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in killed:
        each.kill()
    assert process.wait(timeout=30) != 0
    psutil.wait_procs(killed, timeout=30)


def asked(http: httpx.Client, url: str, shop: Shop, *, until: set[str]) -> Any:
    """Ask for the job until it has one of these states; a service that is starting may refuse connections."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    pause = 0.02
    while time.monotonic() < deadline:
        try:
            job = http.get(url, headers=shop.headers).json()
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if job["status"] in until:
            return job
        time.sleep(pause)
        pause = min(0.5, 1.05 * pause)  # whoever asks without a pause takes the time that the work needs
    raise AssertionError(job)


def test_a_killed_check_is_done_again_after_the_restart(tmp_path: Path, db: ControlDb, events: Path) -> None:
    lake = Lake.open(Settings(home=tmp_path).lake_url, scratch=tmp_path / "scratch")
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    with service(tmp_path) as (process, http):
        answer = posted(http, events, blue)
        assert answer.status_code == 202, answer.text
        url = answer.headers["location"]
        checking = asked(http, url, blue, until={"checking", "stored"})
        kill_all(process)
    assert (checking["status"], checking["report"]) == ("checking", None)
    assert list_uploads(db, blue.tenant) == ()
    with service(tmp_path) as (_, http):
        done = asked(http, url, blue, until={"stored", "refused", "failed"})
        assert (done["status"], done["progress"]) == ("stored", 1)
        assert get_upload_job(db, blue.tenant, done["job_id"]).attempts == 2
        (record,) = list_uploads(db, blue.tenant)
        assert record.upload_id == done["upload_id"]
        again = posted(http, events, blue)
        assert (again.status_code, again.json()["upload_id"]) == (200, record.upload_id)
    assert list(lake.tenant(blue.tenant).upload_jobs.iterdir()) == []
    report = done["report"]
    assert (report["rows_total"], report["rows_rejected"]) == (ROWS, ROWS // 1000)
    assert {name: report[name] for name in SAME} == {name: stored_at_once(green, events)[name] for name in SAME}


SAME = ("upload_id", "status", "rows_accepted", "rows_duplicate", "validation_errors", "errors_by_rule", "statistics")


def posted(http: httpx.Client, file: Path, shop: Shop) -> httpx.Response:
    """Send the file, as soon as the service answers."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            with file.open("rb") as stream:
                url = "/api/v1/upload/interactions"
                return http.post(url, files={"file": ("events.csv", stream)}, headers=shop.headers)
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError("the service does not answer")


def stored_at_once(shop: Shop, file: Path) -> Any:
    """The report of the same file, stored without a job."""
    report = store_upload(
        TenantStore(shop.lake, shop.db, shop.tenant),
        IncomingUpload(Kind.INTERACTIONS, file, filename="events.csv", origin="http", received_at=datetime.now(UTC)),
        UploadPolicy(TenantSettings(), max_bytes=2**31),
    )
    return report.model_dump(mode="json")
