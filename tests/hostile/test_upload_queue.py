"""One tenant sends uploads that take long to check; another one's small file does not wait for them."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.hostile.live import Live, live_service
from tests.unit.bento_service.shop import Shop

HEADER = b"user_id,item_id,interaction_type,timestamp\n"
TEXT_BYTES = 31_000_000
"""Just within what is checked before the answer; a few kilobytes as it is sent."""
FILES = 6
EXPENSIVE = {"empty lines": b"\n", "rows that are too long and too short": b"a,b,view,1,2,3\na,b\n"}
FACTOR, FLOOR_SECONDS = 5.0, 2.0
"""Six files by two workers are half a minute of somebody's work, and more where the machine is busy."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("queue")) as live:
        yield live


@pytest.mark.parametrize("name", EXPENSIVE)
def test_six_expensive_uploads_of_one_tenant_hold_nobody_else_back(live: Live, name: str) -> None:
    quiet = small_upload(live, f"{name} quiet")
    for measurement in range(2):  # whatever else the machine did at the first, it does not do it twice
        with_others = beside_six(live, name, measurement)
        sys.stdout.write(f"\n{name}: one row alone {quiet:.2f} s, beside six files {with_others:.2f} s\n")
        if with_others < max(FACTOR * quiet, FLOOR_SECONDS):
            return
    pytest.fail(f"a row waited {with_others:.1f} s beside six files, and {quiet:.2f} s alone")


def beside_six(live: Live, name: str, measurement: int) -> float:
    """Seconds that one row takes while six files are checked, or wait for that."""
    text = EXPENSIVE[name] * (TEXT_BYTES // len(EXPENSIVE[name]))
    files = [gzip.compress(HEADER + b"%d,b,view,1\n" % (measurement * FILES + n) + text, 1) for n in range(FILES)]
    senders = [Thread(target=send, args=(live.server.url, live.blue, file), daemon=True) for file in files]
    for sender in senders:
        sender.start()
    wait_for_their_files(live.settings.home / "incoming", senders, size=min(map(len, files)))
    return small_upload(live, f"{name} {measurement}")


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


def send(url: str, shop: Shop, content: bytes) -> None:
    """Send a file; that the service ends meanwhile is no matter."""
    with httpx.Client(base_url=url, timeout=600) as http, suppress(httpx.TransportError):
        http.post("/api/v1/upload/interactions", files={"file": ("a.csv.gz", content)}, headers=shop.headers)


def small_upload(live: Live, item: str) -> float:
    """Send a file of one row, each time another one, and return how long that took."""
    row = HEADER + f"u1,{item},view,2024-05-01T00:00:00Z\n".encode()
    started = time.monotonic()
    answer = httpx.post(
        f"{live.server.url}/api/v1/upload/interactions",
        files={"file": ("one.csv", row)},
        headers=live.green.headers,
        timeout=600,
    )
    assert answer.status_code == 200, answer.text
    return time.monotonic() - started
