"""Workers that are forked, watched and replaced; each test has a parent of its own, as a fork of pytest is pytest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[4]
_PARENT = """
import contextlib, os, pathlib, signal, sys, time
from bento_service.telemetry.logs import configure_logging
from bento_service.server.prefork import NoWorkerStarted, Workers

configure_logging("INFO")

def work(started):
    {work}

def ended(pid):
    with contextlib.suppress(OSError):
        print("ended", pid, flush=True)

try:
    Workers({count}, work, ended).run()
except NoWorkerStarted as error:
    raise SystemExit(str(error))
"""
_SERVE = """started()
    pathlib.Path(f"worker-{os.getpid()}").touch()
    while True: signal.pause()"""


@contextmanager
def parent(
    folder: Path, work: str, count: int = 2, out: int | IO[str] = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(work=work, count=count)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=out,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers(folder: Path) -> set[int]:
    """Workers that have started and run."""
    pids = {int(path.name.removeprefix("worker-")) for path in folder.glob("worker-*")}
    return {pid for pid in pids if _runs(pid)}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_each_worker_that_dies_is_replaced_and_all_end_with_the_parent(tmp_path: Path) -> None:
    with parent(tmp_path, _SERVE) as process:
        eventually(lambda: len(workers(tmp_path)) == 2)
        for killed in workers(tmp_path):
            os.kill(killed, signal.SIGKILL)
            eventually(lambda killed=killed: killed not in workers(tmp_path) and len(workers(tmp_path)) == 2)
        process.terminate()
        assert process.wait(timeout=60) == 0
        assert workers(tmp_path) == set()
        assert len(re.findall("^ended", process.stdout.read(), re.MULTILINE)) == 4


def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with parent(tmp_path, _SERVE) as process:
        eventually(lambda: len(workers(tmp_path)) == 2)
        process.kill()
        eventually(lambda: workers(tmp_path) == set())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_whose_disk_is_full_ends_nobody(tmp_path: Path) -> None:
    """Neither the parent, which says that a worker has ended, nor the neighbours of one that cannot say its last."""
    until_told = """signal.signal(signal.SIGUSR1, lambda *_: None)
    started()
    pathlib.Path(f"worker-{os.getpid()}").touch()
    signal.pause()
    print("the end")"""
    with open("/dev/full", "w") as full, parent(tmp_path, until_told, out=full) as process:
        eventually(lambda: len(workers(tmp_path)) == 2)
        killed, told = sorted(workers(tmp_path))
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: killed not in workers(tmp_path) and len(workers(tmp_path)) == 2)
        (stays,) = workers(tmp_path) - {told}
        os.kill(told, signal.SIGUSR1)
        eventually(lambda: told not in workers(tmp_path) and len(workers(tmp_path)) == 2)
        assert stays in workers(tmp_path)
        assert process.poll() is None


def test_what_stops_the_first_worker_is_said_and_ends_the_parent(tmp_path: Path) -> None:
    # One worker: two that fail at the same moment write into each other's lines.
    with parent(tmp_path, "raise ValueError('no such lake')", count=1) as process:
        assert process.wait(timeout=60) == 1
        said = process.stdout.read()
    assert "ValueError: no such lake" in said
    assert "A worker ended with status 70 before it could answer." in said


def test_a_worker_that_cannot_start_any_more_is_tried_again_after_a_growing_wait(tmp_path: Path) -> None:
    once = """if pathlib.Path("broken").exists():
        raise SystemExit(3)
    """
    with parent(tmp_path, once + _SERVE, count=1) as process:
        eventually(lambda: len(workers(tmp_path)) == 1)
        (tmp_path / "broken").touch()
        os.kill(workers(tmp_path).pop(), signal.SIGKILL)
        waits = []
        while len(waits) < 2:
            line = process.stdout.readline()
            if "worker_did_not_start" in line:
                waits.append(json.loads(line)["next_in_seconds"])
        assert waits == [0.5, 1.0]
        (tmp_path / "broken").unlink()
        eventually(lambda: len(workers(tmp_path)) == 1)
        assert process.poll() is None
