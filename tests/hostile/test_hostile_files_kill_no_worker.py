"""Files that kill, flood or stall their reader, sent to the real service with two workers: it answers and goes on."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest

from recsaas_assets.ports import free_port
from resources.control_db.engine import open_control_db
from resources.lake import Lake
from resources.settings import Settings
from tests.unit.bento_service.shop import Shop, open_shop

ROOT = Path(__file__).parents[2]
HOSTILE = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
MUTATIONS = 300
DEADLINE_SECONDS = 180
HEADER = b"user_id,item_id,interaction_type,timestamp\n"


@dataclass(frozen=True)
class Running:
    """A service, a client of it and two tenants."""

    process: psutil.Process
    http: httpx.Client
    blue: Shop
    green: Shop
    log: Path

    def workers(self) -> set[int]:
        """Every process of the service that answers or watches; the fork servers and their children come and go."""
        found = set()
        for each in self.process.children(recursive=True):
            try:
                lineage = " ".join(str(part) for process in (each, *each.parents()) for part in process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if "fork_server" not in lineage:
                found.add(each.pid)
        return found

    def send(self, kind: str, name: str, content: bytes, *, shop: Shop | None = None) -> httpx.Response:
        """Send a file."""
        headers = (shop or self.blue).headers
        return self.http.post(f"/api/v1/upload/{kind}", files={"file": (name, content)}, headers=headers)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    db = open_control_db(Settings(home=home).database_url)
    lake = Lake.open(Settings(home=home).lake_url)
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    port = free_port("127.0.0.1", 0)
    environment = os.environ | {
        "RECSAAS_HOME": str(home),
        "RECSAAS_SERVICE_WORKERS": "2",
        "RECSAAS_RATE_LIMIT": "0",
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = ["-m", "bentoml", "serve", "bento_service.service:RecsaasService", "--host", "127.0.0.1"]
    log = home / "service.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    process = psutil.Process(started.pid)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_SECONDS) as http:
        until_ready(http)
        yield Running(process, http, blue, green, log)
    for each in (*process.children(recursive=True), process):
        each.kill()
    started.wait()
    db.close()


def until_ready(http: httpx.Client) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline
        time.sleep(0.2)


def hostile(name: str) -> bytes:
    file = HOSTILE / f"{name}.parquet"
    if not file.exists():
        pytest.skip(f"no hostile files at {HOSTILE}")
    return file.read_bytes()


def parquet(frame: pl.DataFrame, **options: object) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def assert_in_the_shape(answer: httpx.Response) -> None:
    """A report or a job, or an error as docs/api.md describes it, and none of ours."""
    assert answer.status_code in (200, 202, 413, 422), answer.text
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"code", "message", "details", "request_id"}
        assert error["message"]


def test_files_that_abort_their_reader(running: Running) -> None:
    before = running.workers()
    for name in ("signal6-12-3849", "crash212", "signal6-12-3849", "crash212", "signal6-12-3849"):
        answer = running.send("interactions", f"{name}.parquet", hostile(name))
        assert answer.status_code == 422, answer.text
        assert_in_the_shape(answer)
        assert running.http.get("/health").status_code == 200
    assert running.workers() == before


def test_mutations_of_a_sound_file(running: Running) -> None:
    before, chance = running.workers(), random.Random(7)
    sound = parquet(
        pl.DataFrame(
            {
                "user_id": [f"u{n}" for n in range(40)],
                "item_id": range(40),
                "interaction_type": ["view", "purchase"] * 20,
                "timestamp": [1_700_000_000 + n for n in range(40)],
            }
        )
    )
    for number in range(MUTATIONS):
        data = bytearray(sound)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        assert_in_the_shape(running.send("interactions", f"{number}.parquet", bytes(data)))
    assert running.workers() == before
    assert "Traceback" not in running.log.read_text()


def test_millions_of_rows_in_some_kilobytes_are_not_checked_before_the_answer(running: Running) -> None:
    rows = 20_000_000
    constant = {"user_id": 1, "item_id": 3, "interaction_type": "view", "timestamp": 1_700_000_000}
    data = parquet(
        pl.select(pl.repeat(value, rows).alias(name) for name, value in constant.items()), compression="zstd"
    )
    assert len(data) < 500_000
    before = running.workers()
    answer = running.send("interactions", "rows.parquet", data)
    assert answer.status_code == 202, answer.text
    assert running.send("items", "a.csv", b"item_id,title\n1,Lamp\n", shop=running.green).status_code == 200
    assert running.workers() == before


@pytest.mark.parametrize(
    "text",
    [b"\n" * 31 * 1024**2, HEADER + b"a,b,view,1700000000\n" + b"\n" * 31 * 1024**2, HEADER + b'"' * 31 * 1024**2],
    ids=["newlines", "newlines below rows", "quotes"],
)
def test_text_that_is_cheap_to_send(running: Running, text: bytes) -> None:
    before = running.workers()
    assert_in_the_shape(running.send("interactions", "a.csv.gz", gzip.compress(text)))
    assert running.workers() == before


def test_a_text_of_gigabytes_in_some_kilobytes(running: Running) -> None:
    titles = pl.DataFrame({"item_id": range(1500), "title": [f"{n}" + "x" * 1_000_000 for n in range(1500)]})
    answer = running.send("items", "a.parquet", parquet(titles, compression="zstd", compression_level=19))
    assert_in_the_shape(answer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_expensive")
