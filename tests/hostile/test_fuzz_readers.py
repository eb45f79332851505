"""Thousands of mutated files and bodies through the live service: every reader, with a neighbour beside them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.hostile.live import Live, Neighbour, in_error_shape, live_service
from tests.hostile.mutations import json_mutations, mutations, sound_bodies, sound_files

FILES = int(os.environ.get("RECSAAS_FUZZ_FILES", "10000"))
"""How many mutations of each format are sent, if the time box allows."""
BOX_SECONDS = float(os.environ.get("RECSAAS_FUZZ_SECONDS", "45"))
SENDERS = 3
QUIET_SECONDS = 10.0
# A machine that is busy with something else slows both: the bar is a ratio, with a floor below which it says nothing.
NEIGHBOUR_RATIO, NEIGHBOUR_FLOOR_SECONDS = 2.5, 0.1
AGAIN_SECONDS = 15.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("fuzz")) as live:
        yield live


def quiet_p95_of(live: Live) -> float:
    """What the neighbour waits when nobody else asks."""
    neighbour = Neighbour(live.server.url, live.green.headers)
    with neighbour.asking():
        time.sleep(QUIET_SECONDS)
    assert not neighbour.failures
    return neighbour.p95


@pytest.fixture(scope="module")
def quiet_p95(live: Live) -> float:
    return quiet_p95_of(live)


class Flood:
    """Sends mutations from several threads until enough are answered or the time is over."""

    def __init__(self, live: Live, make: Iterator[tuple[str, bytes]], seconds: float) -> None:
        self._live = live
        self._make = make
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + seconds
        self.statuses = Counter[int]()
        self.wrong: list[str] = []

    def run(self) -> None:
        """Send them all."""
        threads = [threading.Thread(target=self._send_many) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _next(self) -> tuple[str, bytes] | None:
        with self._lock:
            if time.monotonic() > self._deadline or self.statuses.total() >= FILES:
                return None
            return next(self._make)

    def _send_many(self) -> None:
        with httpx.Client(base_url=self._live.server.url, headers=self._live.blue.headers, timeout=120) as http:
            while (piece := self._next()) is not None:
                name, content = piece
                try:
                    answer = self._send(http, name, content)
                except httpx.TransportError as error:
                    self.wrong.append(f"{name}: {type(error).__name__} {error}: {content!r}"[:2000])
                    continue
                with self._lock:
                    self.statuses[answer.status_code] += 1
                if answer.status_code >= 500 and answer.status_code != 503:
                    self.wrong.append(f"{name}: {answer.status_code} {answer.text[:300]}: {content!r}"[:2000])
                if answer.status_code >= 400 and not in_error_shape(answer):
                    self.wrong.append(f"{name}: not the error shape: {answer.status_code} {answer.text[:300]}")

    @staticmethod
    def _send(http: httpx.Client, name: str, content: bytes) -> httpx.Response:
        if name.startswith("/"):
            return http.post(name, content=content, headers={"Content-Type": "application/json"})
        # What is stored is looked at again by the next upload: nothing is, so that the fuzz stays as fast as it began.
        path = "/api/v1/upload/interactions?validate_only=true"
        return http.post(path, files={"file": (name, content)})


def files(name: str) -> Iterator[tuple[str, bytes]]:
    return ((name, content) for content in mutations(sound_files()[name], seed=sum(name.encode())))


def bodies() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(11)
    made = {path: json_mutations(body, seed=number) for number, (path, body) in enumerate(sound_bodies().items())}
    while True:
        path = rng.choice(list(made))
        yield path, next(made[path])


@pytest.mark.parametrize("name", sorted(sound_files()))
def test_no_mutated_file_kills_a_worker_or_slows_a_neighbour(
    live: Live, quiet_p95: float, name: str, record_property: pytest.RecordProperty
) -> None:
    attack(live, quiet_p95, files(name), name, record_property)


def test_no_mutated_body_kills_a_worker_or_slows_a_neighbour(
    live: Live, quiet_p95: float, record_property: pytest.RecordProperty
) -> None:
    attack(live, quiet_p95, bodies(), "json", record_property)


def attack(
    live: Live,
    quiet_p95: float,
    made: Iterator[tuple[str, bytes]],
    name: str,
    record_property: pytest.RecordProperty,
) -> None:
    p95 = beside(live, quiet_p95, made, name, BOX_SECONDS, record_property)
    if p95 >= bar(quiet_p95):  # whatever else the machine did then, it does not do it twice
        quiet_p95 = quiet_p95_of(live)
        p95 = beside(live, quiet_p95, made, f"{name} again", AGAIN_SECONDS, record_property)
    assert p95 < bar(quiet_p95)


def bar(quiet_p95: float) -> float:
    return max(NEIGHBOUR_RATIO * quiet_p95, NEIGHBOUR_FLOOR_SECONDS)


def beside(
    live: Live,
    quiet_p95: float,
    made: Iterator[tuple[str, bytes]],
    name: str,
    seconds: float,
    record_property: pytest.RecordProperty,
) -> float:
    """Send mutations for so long, and return the neighbour's p95 beside them."""
    started = live.server.workers_started
    neighbour = Neighbour(live.server.url, live.green.headers)
    flood = Flood(live, made, seconds)
    with neighbour.asking():
        flood.run()
    figures = {
        "sent": flood.statuses.total(),
        "statuses": dict(flood.statuses),
        "workers_died": live.server.workers_started - started,
        "p95_ms": round(1000 * neighbour.p95),
        "quiet_p95_ms": round(1000 * quiet_p95),
    }
    print(f"\n{name}: {figures}")  # noqa: T201  # the figures are what `pytest -s` is run for
    record_property(name, figures)
    assert flood.wrong == []
    assert flood.statuses.total() > 0
    assert live.server.workers_started == started, "a worker died"
    assert neighbour.failures == []
    return neighbour.p95


def test_sound_files_and_bodies_are_taken(live: Live) -> None:
    with httpx.Client(base_url=live.server.url, headers=live.blue.headers, timeout=60) as http:
        for name, content in sound_files().items():
            answer = Flood._send(http, name, content)
            assert (answer.status_code, answer.json().get("rows_rejected")) == (200, 0), (name, answer.text)
        for path, body in sound_bodies().items():
            answer = Flood._send(http, path, body)
            assert answer.status_code in (200, 201), (path, answer.text)
