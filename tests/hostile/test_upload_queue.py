"""One tenant sends uploads that take long to check; another one's small file does not wait for them."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from resources.control_db.engine import ControlDb, open_control_db
from resources.lake import Lake
from resources.settings import Settings
from tests.e2e.test_large_uploads import posted, service
from tests.unit.bento_service.shop import Shop, open_shop

BAR_SECONDS = 2.0
TRIES = 3
"""The machine may be busy with something else at one of them."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(Settings(home=tmp_path).database_url)
    yield db
    db.close()


def test_six_expensive_uploads_of_one_tenant_hold_nobody_else_back(tmp_path: Path, db: ControlDb) -> None:
    """31 MB of empty lines, 30 KB as they are sent: just within what is checked before the answer."""
    lake = Lake.open(Settings(home=tmp_path).lake_url)
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    header = b"user_id,item_id,interaction_type,timestamp\n"
    expensive = [gzip.compress(header + b"\n" * (31_000_000 - n)) for n in range(6)]  # the same one is checked once
    warm_up = tmp_path / "warm_up.csv"
    warm_up.write_text("user_id,item_id,interaction_type,timestamp\nu0,i0,view,2024-05-01T00:00:00Z\n")
    with service(tmp_path) as (_, http):
        assert posted(http, warm_up, green).status_code == 200
        senders = [Thread(target=send, args=(http, blue, file), daemon=True) for file in expensive]
        for sender in senders:
            sender.start()
        wait_for_their_files(tmp_path / "incoming", senders, size=min(map(len, expensive)))
        seconds = [small_upload(http, green, 0)]
        while len(seconds) < TRIES and any(sender.is_alive() for sender in senders):
            seconds.append(small_upload(http, green, len(seconds)))
    assert min(seconds) < BAR_SECONDS, seconds


def wait_for_their_files(folder: Path, senders: list[Thread], *, size: int) -> None:
    """Until all have arrived; or one is done, because a check takes no time."""
    deadline = time.monotonic() + 60
    while all(sender.is_alive() for sender in senders) and time.monotonic() < deadline:
        if sum(size_of(path) >= size for path in folder.iterdir()) == len(senders):
            time.sleep(2)  # so that the first ones are being checked, and the others wait for them
            return
        time.sleep(0.05)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def send(http: httpx.Client, shop: Shop, content: bytes) -> None:
    """Send a file; that the service is killed meanwhile is no matter."""
    with httpx.Client(base_url=http.base_url, timeout=600) as own:
        try:
            own.post("/api/v1/upload/interactions", files={"file": ("empty.csv.gz", content)}, headers=shop.headers)
        except httpx.TransportError:
            return


def small_upload(http: httpx.Client, shop: Shop, number: int) -> float:
    """Send a file of one row, each time another one, and return how long that took."""
    row = f"user_id,item_id,interaction_type,timestamp\nu1,i{number},view,2024-05-01T00:00:00Z\n"
    started = time.monotonic()
    answer = http.post(
        "/api/v1/upload/interactions", files={"file": ("one.csv", row)}, headers=shop.headers, timeout=300
    )
    assert answer.status_code == 200, answer.text
    return time.monotonic() - started
