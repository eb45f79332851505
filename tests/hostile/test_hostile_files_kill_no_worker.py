"""Files that kill, flood or stall their reader, sent to the real service with two workers: it answers and goes on."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import pytest

from tests.hostile.live import WORKERS, Live, in_error_shape, live_service
from tests.unit.bento_service.shop import Shop

HOSTILE = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
ANSWER_SECONDS = 180
HEADER = b"user_id,item_id,interaction_type,timestamp\n"


@dataclass(frozen=True)
class Running:
    """A service, and a client of it."""

    live: Live
    http: httpx.Client

    def send(self, kind: str, name: str, content: bytes, *, shop: Shop | None = None) -> httpx.Response:
        """Send a file."""
        headers = (shop or self.live.blue).headers
        return self.http.post(f"/api/v1/upload/{kind}", files={"file": (name, content)}, headers=headers)

    def no_worker_has_ended(self) -> bool:
        """Whether those that began are all there ever were."""
        return self.live.server.workers_started == WORKERS and self.http.get("/health").status_code == 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        live_service(tmp_path_factory.mktemp("files")) as live,
        httpx.Client(base_url=live.server.url, timeout=ANSWER_SECONDS) as http,
    ):
        yield Running(live, http)


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
    assert answer.status_code < 400 or in_error_shape(answer), answer.text


def test_files_that_abort_their_reader(running: Running) -> None:
    for name in ("signal6-12-3849", "crash212", "signal6-12-3849", "crash212", "signal6-12-3849"):
        answer = running.send("interactions", f"{name}.parquet", hostile(name))
        assert answer.status_code == 422, answer.text
        assert_in_the_shape(answer)
        assert running.http.get("/health").status_code == 200
    assert running.no_worker_has_ended()


def test_millions_of_rows_in_some_kilobytes_are_not_checked_before_the_answer(running: Running) -> None:
    rows = 20_000_000
    constant = {"user_id": 1, "item_id": 3, "interaction_type": "view", "timestamp": 1_700_000_000}
    data = parquet(
        pl.select(pl.repeat(value, rows).alias(name) for name, value in constant.items()), compression="zstd"
    )
    assert len(data) < 500_000
    answer = running.send("interactions", "rows.parquet", data)
    assert answer.status_code == 202, answer.text
    assert running.send("items", "a.csv", b"item_id,title\n1,Lamp\n", shop=running.live.green).status_code == 200
    assert running.no_worker_has_ended()


@pytest.mark.parametrize(
    "text",
    [b"\n" * 31 * 1024**2, HEADER + b"a,b,view,1700000000\n" + b"\n" * 31 * 1024**2, HEADER + b'"' * 31 * 1024**2],
    ids=["newlines", "newlines below rows", "quotes"],
)
def test_text_that_is_cheap_to_send(running: Running, text: bytes) -> None:
    assert_in_the_shape(running.send("interactions", "a.csv.gz", gzip.compress(text)))
    assert running.no_worker_has_ended()


def test_a_text_of_gigabytes_in_some_kilobytes(running: Running) -> None:
    titles = pl.DataFrame({"item_id": range(1500), "title": [f"{n}" + "x" * 1_000_000 for n in range(1500)]})
    answer = running.send("items", "a.parquet", parquet(titles, compression="zstd", compression_level=19))
    assert_in_the_shape(answer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_expensive")
