"""Children of the fork server end at their limits, with their parent, and say how."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from resources.processes import forked
from resources.processes.forked import ChildDied, ChildLimits, ForkServer
from resources.processes.interpreter import ChildBroke

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[4]
PLENTY = ChildLimits(memory_bytes=2**30, cpu_seconds=60, wall_seconds=600, niceness=0)
_WORK = """
import os, signal, sys, time
def main(request, tell):
    what = request["do"]
    if what == "answer":
        return {"pid": os.getpid(), "variable": os.environ.get("RECSAAS_HOME"), "niceness": os.nice(0)}
    if what == "spin":
        while True:
            pass
    if what == "grow":
        return len([bytearray(1 << 20) for _ in range(request["megabytes"])])
    if what == "sleep":
        tell(os.getpid())
        time.sleep(600)
    if what == "nap":
        tell(os.getpid())
        time.sleep(2)
        return "rested"
    if what == "say":
        sys.stderr.write("memory allocation of 2305843009213693952 bytes failed\\n")
        sys.stderr.flush()
    if what == "raise":
        raise ZeroDivisionError("nobody expected that")
    os.kill(os.getpid(), getattr(signal, request.get("signal", "SIGABRT")))
    time.sleep(60)  # a tracer catches the signal, and passes it on when its notes are written
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "work_of_a_child.py").write_text(_WORK)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(folder))
        server = ForkServer("work_of_a_child")
        server.start()
        yield server
        server.stop()


def run(server: ForkServer, limits: ChildLimits = PLENTY, **request: Any) -> Any:
    return server.run("work_of_a_child", request, limits=limits)


def test_a_child_answers_with_the_environment_of_its_parent(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSAAS_HOME", "/somewhere/else")
    one, two = run(server, do="answer"), run(server, do="answer")
    assert one["variable"] == "/somewhere/else"
    assert len({one["pid"], two["pid"], os.getpid()}) == 3


def test_a_child_steps_back(server: ForkServer) -> None:
    limits = ChildLimits(memory_bytes=2**30, cpu_seconds=60, wall_seconds=600, niceness=3)
    assert run(server, limits, do="answer")["niceness"] == min(19, os.nice(0) + 3)


@pytest.mark.parametrize(
    ("limit", "limits", "request_"),
    [
        ("cpu", ChildLimits(2**30, cpu_seconds=1, wall_seconds=600, niceness=0), {"do": "spin"}),
        ("wall", ChildLimits(2**30, cpu_seconds=60, wall_seconds=1, niceness=0), {"do": "sleep"}),
        (
            "memory",
            ChildLimits(64 * 2**20, cpu_seconds=60, wall_seconds=600, niceness=0),
            {"do": "grow", "megabytes": 500},
        ),
    ],
)
def test_a_limit_ends_a_child(server: ForkServer, limit: str, limits: ChildLimits, request_: dict[str, Any]) -> None:
    with pytest.raises(ChildDied) as death:
        run(server, limits, **request_)
    assert death.value.limit == limit
    assert run(server, do="answer")["pid"]


def test_what_is_within_the_limit_is_done(server: ForkServer) -> None:
    assert run(server, do="grow", megabytes=100) == 100


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL"])
def test_a_crash_is_told_from_a_limit(server: ForkServer, name: str) -> None:
    with pytest.raises(ChildDied) as death:
        run(server, do="die", signal=name)
    assert death.value.limit is None


def test_a_length_that_is_none_is_a_crash_and_no_lack_of_memory(server: ForkServer) -> None:
    with pytest.raises(ChildDied) as death:
        run(server, do="say")
    assert death.value.limit is None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_what_is_ended_by_hand_is_no_fault_of_the_work(server: ForkServer, name: str) -> None:
    with pytest.raises(ChildBroke):
        run(server, do="die", signal=name)


def test_an_error_is_told(server: ForkServer) -> None:
    with pytest.raises(ChildBroke, match="nobody expected that"):
        run(server, do="raise")


def test_whoever_waits_may_end_the_child(server: ForkServer) -> None:
    pids: list[int] = []

    def enough(told: int | None) -> None:
        if told is not None:
            pids.append(told)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        server.run("work_of_a_child", {"do": "sleep"}, limits=PLENTY, on_progress=enough)
    assert_gone(pids[0])


def test_a_server_that_was_killed_is_started_anew(server: ForkServer) -> None:
    process = server._process
    assert process is not None
    process.kill()
    process.wait()
    assert run(server, do="answer")["pid"]


def test_a_server_that_is_stopped_is_replaced(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(server, do="answer")["pid"]
    stopped = server._process
    assert stopped is not None
    stopped.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(forked, "_HEAR_SECONDS", 1.0)
    assert run(server, do="answer")["pid"]
    assert stopped.poll() == -signal.SIGKILL


def test_a_server_that_stops_while_its_child_works_holds_no_answer_back(server: ForkServer) -> None:
    process = server._process
    assert process is not None

    def stop(told: int | None) -> None:
        if told is not None:
            process.send_signal(signal.SIGSTOP)

    try:
        assert server.run("work_of_a_child", {"do": "nap"}, limits=PLENTY, on_progress=stop) == "rested"
    finally:
        process.send_signal(signal.SIGCONT)


def test_a_child_that_is_stopped_is_given_up(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def stop(told: int | None) -> None:
        if told is not None and not pids:
            pids.append(told)
            os.kill(told, signal.SIGSTOP)

    monkeypatch.setattr(forked, "_LATE_SECONDS", 1.0)
    limits = ChildLimits(2**30, cpu_seconds=60, wall_seconds=1, niceness=0)
    with pytest.raises(ChildDied) as death:
        server.run("work_of_a_child", {"do": "sleep"}, limits=limits, on_progress=stop)
    assert death.value.limit == "wall"
    if pids:  # on a busy machine it had not said who it is by then
        assert_gone(pids[0])


_PARENT = """
import sys, resources.processes.forked as forked
def tell(told):
    if told is not None:
        print(told, flush=True)
limits = forked.ChildLimits(2**30, cpu_seconds=60, wall_seconds=600, niceness=0)
forked.ForkServer("work_of_a_child").run("work_of_a_child", {"do": "sleep"}, limits=limits, on_progress=tell)
"""


def test_a_child_ends_with_its_parent_however_that_dies(server: ForkServer) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ}, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    server_pid = psutil.Process(child).ppid()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert_gone(child)
    assert_gone(server_pid)


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while runs(pid):
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_nobody_asked_for_anything_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    server = ForkServer("json")
    server.start()
    assert server._control is not None and server._process is not None
    process = server._process
    select.select([server._control], [], [], 60)  # it has said that it has imported, and nobody reads that
    server.stop()
    assert (process.wait(), capfd.readouterr().err) == (0, "")
