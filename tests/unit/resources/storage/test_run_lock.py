"""One run per tenant, whatever happens to its process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.storage.run_lock import dead_run, tenant_run_lock

BLUE, GREEN = TenantId("blue"), TenantId("green")

_HOLDER = """
import sys, time
from pathlib import Path
from resources.storage.run_lock import tenant_run_lock
from resources.base.tenant import TenantId
with tenant_run_lock(Path(sys.argv[1]), TenantId("blue"), wait_seconds=0, run_id="run-1"):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds blue's lock."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_a_conflict_that_names_the_tenant(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    expected = pytest.raises(Conflict, match="Another run of tenant blue")
    with expected, tenant_run_lock(tmp_path, BLUE, wait_seconds=0):
        pytest.fail("two runs of one tenant at a time")


def test_another_tenant_does_not_wait(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with tenant_run_lock(tmp_path, GREEN, wait_seconds=0):
        pass


def test_the_lock_is_free_after_the_holder_was_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told: list[str] = []

    def kill(message: str) -> None:
        told.append(message)
        holder.send_signal(signal.SIGKILL)

    with tenant_run_lock(tmp_path, BLUE, wait_seconds=20, on_wait=kill):
        pass
    assert told == ["Waiting for another run of tenant blue to end."]


def test_a_second_run_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with tenant_run_lock(tmp_path, BLUE, wait_seconds=20, on_wait=lambda _: waiting.set()):
            order.append("second")

    with tenant_run_lock(tmp_path, BLUE, wait_seconds=0):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_error_in_the_run_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), tenant_run_lock(tmp_path, BLUE, wait_seconds=0):
        raise RuntimeError("boom")
    with tenant_run_lock(tmp_path, BLUE, wait_seconds=0):
        pass


def test_a_killed_run_is_known_until_the_next_run_takes_over(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert dead_run(tmp_path, BLUE) is None
    holder.kill()
    holder.wait()
    assert dead_run(tmp_path, BLUE) == "run-1"
    with tenant_run_lock(tmp_path, BLUE, wait_seconds=0, run_id="run-2"):
        assert dead_run(tmp_path, BLUE) is None
    assert dead_run(tmp_path, BLUE) is None


def test_no_run_is_dead_where_none_ever_ran(tmp_path: Path) -> None:
    assert dead_run(tmp_path, BLUE) is None
