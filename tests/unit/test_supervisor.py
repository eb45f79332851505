"""Starting, watching and stopping processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import recsaas_assets.supervisor as supervisor_module
from recsaas_assets.supervisor import ProcessFailed, Program, Supervisor, free_port, python
from resources.errors import ConfigurationError

LOCAL = "127.0.0.1"

_DEAF = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("deaf").write_text("ready")
time.sleep(60)
"""
_PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child.tmp").write_text(str(child.pid))
pathlib.Path("child.tmp").rename("child")
time.sleep(60)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs", working_dir=tmp_path)
    yield supervisor
    supervisor.stop()


def _gone(pid: int) -> bool:
    """True when the process has ended, or is a zombie that nobody has collected."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_wanted_port_when_it_is_free_and_the_next_one_when_it_is_not() -> None:
    with socket.socket() as busy:
        busy.bind((LOCAL, 0))
        busy.listen()
        port = busy.getsockname()[1]
        found = free_port(LOCAL, port)
        assert port < found < port + 100
        assert free_port(LOCAL, found) == found
        assert free_port(LOCAL, found, taken=frozenset({found})) > found


def test_port_zero_means_any() -> None:
    assert free_port(LOCAL, 0) > 1023


def test_no_port_left_and_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="No free port among 65535"):
        free_port(LOCAL, 65535, taken=frozenset({65535}))
    with pytest.raises(ConfigurationError, match="RECSAAS_HOST"):
        free_port("192.0.2.1", 8000)


def test_a_program_that_dies_shows_the_end_of_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "print('\\n'.join(f'line {n}' for n in range(100))); raise SystemExit('Grüße: no config')"
    supervisor.start(Program("dies", python("-c", code), lambda: False, {"PYTHONIOENCODING": "utf-8"}))
    with pytest.raises(ProcessFailed, match="dies ended with code 1") as caught:
        supervisor.wait_ready()
    assert "Grüße: no config" in caught.value.message
    assert "line 99" in caught.value.message
    assert "line 50" not in caught.value.message
    assert str(tmp_path / "logs" / "dies.log") in caught.value.message


def test_a_program_that_never_answers_is_given_up(supervisor: Supervisor) -> None:
    supervisor.start(Program("mute", python("-c", "import time; time.sleep(60)"), lambda: False, ready_seconds=0.2))
    with pytest.raises(ProcessFailed, match="mute did not answer within"):
        supervisor.wait_ready()


def test_a_program_that_ends_later_ends_the_wait(supervisor: Supervisor) -> None:
    supervisor.start(Program("short", python("-c", "print('that was all')"), lambda: True))
    supervisor.wait_ready()
    with pytest.raises(ProcessFailed, match="that was all"):
        supervisor.wait()


def test_a_program_gets_the_environment_its_own_first(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "1")
    monkeypatch.setenv("OWN", "old")
    code = (
        "import os, pathlib; pathlib.Path('seen.tmp').write_text(os.environ['INHERITED'] + os.environ['OWN']); "
        "os.rename('seen.tmp', 'seen'); import time; time.sleep(60)"
    )
    supervisor.start(Program("env", python("-c", code), (tmp_path / "seen").exists, {"OWN": "new"}))
    supervisor.wait_ready()
    assert (tmp_path / "seen").read_text() == "1new"


def test_stop_kills_one_that_ignores_sigterm(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_STOP_SECONDS", 0.2)
    supervisor.start(Program("deaf", python("-c", _DEAF), (tmp_path / "deaf").exists))
    supervisor.wait_ready()
    (_, process) = supervisor._running[0]
    started = time.monotonic()
    supervisor.stop()
    assert process.returncode == -9
    assert time.monotonic() - started < 10


def test_stop_also_ends_the_children_of_a_program(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(Program("parent", python("-c", _PARENT), (tmp_path / "child").exists))
    supervisor.wait_ready()
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)
    supervisor.stop()
    assert _gone(child)


def test_stopping_twice_or_with_nothing_running_is_fine(supervisor: Supervisor) -> None:
    supervisor.stop()
    supervisor.start(Program("ended", python("-c", ""), lambda: True))
    supervisor.stop()
    supervisor.stop()
