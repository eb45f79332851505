"""What a tenant notices of floods by others, and of a write lock that somebody does not give back."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from recsaas_assets.benchmarks.serving.neighbours import QUIET, NeighbourPlan, measure
from recsaas_assets.benchmarks.serving.serve_data import invented_contents, serve_tenant
from recsaas_assets.benchmarks.serving.serve_process import service
from recsaas_assets.benchmarks.workplace import workplace

FACTOR = 2.5
FLOOR_MS = 30.0
"""A machine that is busy with something else moves both figures; less than this is nobody's wait."""
SECONDS = 8.0
TRIES = 3
LOCKED_SECONDS = 20.0
ANSWER_SECONDS = 10.0
_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_neighbour_is_answered_as_if_it_were_alone(record_property: Callable[[str, object], None]) -> None:
    found = measure(NeighbourPlan(seconds=SECONDS))
    record_property("neighbours", json.dumps(found))
    for name, figures in found.items():
        shown = ("p50_ms", "p95_ms", "max_ms", "ratio", "answers", "flood_answers")
        sys.stdout.write(f"\n{name:16}" + "".join(f"  {each} {figures[each]}" for each in shown if each in figures))
        assert figures["errors"] == 0 and int(str(figures["answers"])) > SECONDS, (name, figures)
    slow = [name for name in found if name != QUIET and _over(found, name)]
    for _ in range(TRIES):  # whatever else the machine did then, it does not go on doing it
        if slow:
            again = measure(NeighbourPlan(seconds=SECONDS, only=tuple(slow)))
            record_property("again", json.dumps(again))
            slow = [name for name in slow if _over(again, name)]
    assert not slow, {name: found[name] for name in (QUIET, *slow)}


def test_a_write_lock_held_by_somebody_stops_no_reader_and_loses_nothing() -> None:
    with workplace() as place:
        contents = invented_contents(items=300, users=100)
        noisy, calm = (serve_tenant(name, contents, lake=place.lake, db=place.db) for name in ("noisy", "calm"))
        database = place.settings.home / "control.db"
        with service(place, workers=1, limited=True) as server, httpx.Client(base_url=server.url, timeout=60) as http:

            def send(number: int) -> tuple[str, httpx.Response, float]:
                started = time.monotonic()
                event = {"user_id": "u", "item_id": "i", "interaction_type": "view", "event_id": f"e{number}"}
                headers = {"Authorization": f"Bearer {noisy.key}"}
                answer = http.post("/api/v1/interactions", json=event, headers=headers)
                return f"e{number}", answer, time.monotonic() - started

            def read() -> float:
                started = time.monotonic()
                headers = {"Authorization": f"Bearer {calm.key}"}
                assert http.post("/api/v1/recommendations", json={}, headers=headers).status_code == 200
                return time.monotonic() - started

            read()
            assert send(0)[1].status_code == 200
            with ThreadPoolExecutor(64) as pool:
                holder = _hold(database)
                until = time.monotonic() + LOCKED_SECONDS
                sending = [pool.submit(send, number) for number in range(1, 200)]
                reads = []
                while time.monotonic() < until:
                    reads.append(read())
                    time.sleep(0.2)
                holder.communicate(timeout=30)
                assert holder.returncode == 0
                sent = [send(0)[0:3], *(each.result() for each in sending)]
            assert max(reads) < ANSWER_SECONDS / 5, sorted(reads)[-5:]
            refused = [answer for _, answer, _ in sent if answer.status_code != 200]
            assert len(refused) > 30
            assert {answer.status_code for answer in refused} <= {503, 429}
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
            assert max(seconds for *_, seconds in sent) < ANSWER_SECONDS
            acknowledged = {event for event, answer, _ in sent if answer.status_code == 200}
            with sqlite3.connect(database) as connection:
                stored = {row[0] for row in connection.execute("SELECT event_id FROM events")}
            assert acknowledged == stored


def _over(found: dict[str, dict[str, object]], name: str) -> bool:
    quiet = float(str(found[QUIET]["p95_ms"]))
    return float(str(found[name]["p95_ms"])) > max(FACTOR * quiet, quiet + FLOOR_MS)


def _hold(database: Path) -> subprocess.Popen[bytes]:
    """Start a process that takes the write lock and keeps it until its input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder
