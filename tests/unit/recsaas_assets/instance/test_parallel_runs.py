"""Tenants side by side, with workers that only pretend to run: at most so many, and none takes another down."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsaas_assets.instance import parallel_runs
from recsaas_assets.instance.home import RunOutcome
from recsaas_assets.instance.parallel_runs import run_in_parallel
from resources.base.tenant import TenantId
from resources.processes.supervisor import python

_WORKER = """
import json, os, sys, time
for line in sys.stdin:
    tenant = line.strip()
    print(tenant, file=sys.stderr, flush=True)
    if tenant.startswith("dies"):
        os._exit(7)
    if tenant.startswith("waits"):
        time.sleep(600)
    failed = tenant.startswith("fails")
    outcome = {"run_id": str(os.getpid()), "success": not failed, "failed_step": None, "message": None, "seconds": 0.1}
    print(json.dumps(outcome), flush=True)
"""


@pytest.fixture(autouse=True)
def pretended_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_runs, "python", lambda *_: python("-c", _WORKER))


def tenants(*names: str) -> list[TenantId]:
    return [TenantId(name) for name in names]


def test_every_tenant_has_its_outcome_and_as_many_processes_work_as_asked_for(tmp_path: Path) -> None:
    named = tenants("a", "b", "c", "fails", "d", "a")
    going: set[TenantId] = set()
    most = 0

    def started(tenant: TenantId) -> None:
        nonlocal most
        going.add(tenant)
        most = max(most, len(going))

    outcomes = run_in_parallel(
        named, jobs=2, logs=tmp_path, on_start=started, on_end=lambda tenant, _: going.remove(tenant)
    )
    assert [str(tenant) for tenant in outcomes] == ["a", "b", "c", "fails", "d"]
    assert [outcome.success for outcome in outcomes.values()] == [True, True, True, False, True]
    assert (most, going) == (2, set())
    assert len({outcome.run_id for outcome in outcomes.values()}) == 2, "a process runs more than one tenant"


def test_a_process_that_dies_takes_only_its_own_tenant_with_it(tmp_path: Path) -> None:
    outcomes = run_in_parallel(tenants("dies", "a", "dies-too", "b", "c"), jobs=1, logs=tmp_path)
    success = {str(tenant): outcome.success for tenant, outcome in outcomes.items()}
    assert success == {"dies": False, "a": True, "dies-too": False, "b": True, "c": True}
    message = outcomes[TenantId("dies")].message
    assert message is not None and "ended with code 7" in message
    assert f": dies (the log: {tmp_path / 'backfill-1.log'})" in message
    assert (tmp_path / "backfill-1.log").read_text() == "dies\n"


def test_no_more_processes_than_tenants(tmp_path: Path) -> None:
    assert run_in_parallel([], jobs=3, logs=tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    run_in_parallel(tenants("a"), jobs=3, logs=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has interrupts ignored, here and in the children."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_ends_the_processes(tmp_path: Path) -> None:
    def interrupt_when_both_work() -> None:
        logs = [tmp_path / f"backfill-{number}.log" for number in (1, 2)]
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not all(log.exists() and log.read_text() for log in logs):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_when_both_work)
    ended: list[RunOutcome] = []
    thread.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_in_parallel(
            tenants("waits-1", "waits-2", "waits-3"), jobs=2, logs=tmp_path, on_end=lambda _, o: ended.append(o)
        )
    thread.join()
    assert ended == []
    assert time.monotonic() - started < 300, "they were waited for, not interrupted"
    for log in tmp_path.iterdir():
        assert "KeyboardInterrupt" in log.read_text()
    assert len(list(tmp_path.iterdir())) == 2
