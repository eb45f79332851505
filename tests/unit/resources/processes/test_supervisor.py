"""Starting, watching and stopping processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import resources.processes.supervisor as supervisor_module
from resources.processes.supervisor import LOG, ProcessFailed, ProcessSpec, Supervisor, python

pytestmark = pytest.mark.e2e
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
def said() -> list[str]:
    """What the supervisor tells a person."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs", working_dir=tmp_path, say=said.append)
    yield supervisor
    supervisor.stop()


class Interrupted(Exception):
    """What Ctrl-C is to `recsaas up`."""


@pytest.fixture
def watch_until(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have the supervisor watch its programs until something holds."""

    def watch(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60

        def look(_seconds: float) -> None:
            assert time.monotonic() < deadline
            if condition():
                raise Interrupted
            threading.Event().wait(0.01)

        monkeypatch.setattr(supervisor_module.time, "sleep", look)
        with pytest.raises(Interrupted):
            supervisor.wait()
        monkeypatch.undo()

    return watch


def _gone(pid: int) -> bool:
    """True when the process has ended, or is a zombie that nobody has collected."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_dies_shows_the_end_of_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "print('\\n'.join(f'line {n}' for n in range(100))); raise SystemExit('Grüße: no config')"
    supervisor.start(ProcessSpec("dies", python("-c", code), lambda: False, {"PYTHONIOENCODING": "utf-8"}))
    with pytest.raises(ProcessFailed, match="dies ended with code 1") as caught:
        supervisor.wait_ready()
    assert "Grüße: no config" in caught.value.message
    assert "line 99" in caught.value.message
    assert "line 50" not in caught.value.message
    assert str(tmp_path / "logs" / "dies.log") in caught.value.message


def test_a_program_that_never_answers_is_given_up(supervisor: Supervisor) -> None:
    supervisor.start(ProcessSpec("mute", python("-c", "import time; time.sleep(60)"), lambda: False, ready_seconds=0.2))
    with pytest.raises(ProcessFailed, match="mute did not answer within"):
        supervisor.wait_ready()


def test_a_program_that_is_killed_is_started_again_and_the_others_go_on(
    supervisor: Supervisor,
    tmp_path: Path,
    said: list[str],
    watch_until: Callable[[Callable[[], object]], None],
) -> None:
    for name in ("one", "two"):
        supervisor.start(ProcessSpec(name, python("-c", "import time; time.sleep(60)"), lambda: True))
    supervisor.wait_ready()
    one, two = (run.process for run in supervisor._runs)
    one.kill()
    watch_until(lambda: len(said) == 2)
    assert said[0] == "one was killed by SIGKILL; it is started again now, and all else goes on."
    assert said[1].startswith("one answers again, ")
    assert supervisor._runs[0].process.pid != one.pid
    assert two.poll() is None and supervisor._runs[1].process is two
    logged = (tmp_path / "logs" / LOG).read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in logged] == said
    assert (tmp_path / "logs" / "one.log").exists()


def test_one_that_cannot_start_says_why_and_is_tried_again_after_ever_longer_waits(
    supervisor: Supervisor,
    tmp_path: Path,
    said: list[str],
    watch_until: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(supervisor_module, "_LONGEST_WAIT_SECONDS", 0.05)
    code = "import pathlib, sys, time; pathlib.Path('broken').exists() and sys.exit('no room'); time.sleep(60)"
    supervisor.start(ProcessSpec("part", python("-c", code), lambda: not (tmp_path / "broken").exists()))
    supervisor.wait_ready()
    (tmp_path / "broken").touch()
    supervisor._runs[0].process.kill()
    watch_until(lambda: len(said) == 6)
    waits = [line.split("started again ")[1].split(",")[0] for line in said]
    assert waits == ["now", "in 0.01 s", "in 0.02 s", "in 0.04 s", "in 0.05 s", "in 0.05 s"]
    assert all("part ended with code 1" in line and "no room" in line for line in said[1:])
    (tmp_path / "broken").unlink()
    watch_until(lambda: said[-1].startswith("part answers again"))


def test_a_minute_without_trouble_makes_the_waits_short_again(
    supervisor: Supervisor,
    said: list[str],
    watch_until: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor.start(ProcessSpec("part", python("-c", "import time; time.sleep(60)"), lambda: True))
    supervisor.wait_ready()
    run = supervisor._runs[0]
    run.failures = 5
    run.process.kill()
    watch_until(lambda: len(said) == 1)
    assert "again in 8 s" in said[0]
    run.process, run.ready, run.due = supervisor._process(run.program), True, None
    run.started_at = time.monotonic() - 61
    run.process.send_signal(signal.SIGKILL)
    watch_until(lambda: len(said) == 2)
    assert "again now" in said[1]


def test_one_that_does_not_answer_after_a_restart_is_killed_and_tried_again(
    supervisor: Supervisor,
    tmp_path: Path,
    said: list[str],
    watch_until: Callable[[Callable[[], object]], None],
) -> None:
    (tmp_path / "well").touch()
    program = ProcessSpec(
        "mute", python("-c", "import time; time.sleep(60)"), (tmp_path / "well").exists, ready_seconds=0.2
    )
    supervisor.start(program)
    supervisor.wait_ready()
    (tmp_path / "well").unlink()
    supervisor._runs[0].process.kill()
    watch_until(lambda: any("mute did not answer within" in line for line in said))


def test_what_a_killed_program_had_started_goes_on_and_ends_with_the_rest(
    supervisor: Supervisor, tmp_path: Path, said: list[str], watch_until: Callable[[Callable[[], object]], None]
) -> None:
    supervisor.start(ProcessSpec("parent", python("-c", _PARENT), (tmp_path / "child").exists))
    supervisor.wait_ready()
    child = int((tmp_path / "child").read_text())
    supervisor._runs[0].process.kill()
    watch_until(lambda: len(said) == 2)
    os.kill(child, 0)
    supervisor.stop()
    assert _gone(child)


def test_open_files_are_handed_on(supervisor: Supervisor, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    code = f"import os, time; os.write({writing}, b'here'); time.sleep(60)"
    supervisor.start(ProcessSpec("writer", python("-c", code), lambda: True, files=(writing,)))
    assert os.read(reading, 4) == b"here"
    for end in (reading, writing):
        os.close(end)


def test_a_program_gets_the_environment_its_own_first(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "1")
    monkeypatch.setenv("OWN", "old")
    code = (
        "import os, pathlib; pathlib.Path('seen.tmp').write_text(os.environ['INHERITED'] + os.environ['OWN']); "
        "os.rename('seen.tmp', 'seen'); import time; time.sleep(60)"
    )
    supervisor.start(ProcessSpec("env", python("-c", code), (tmp_path / "seen").exists, {"OWN": "new"}))
    supervisor.wait_ready()
    assert (tmp_path / "seen").read_text() == "1new"


def test_stop_kills_one_that_ignores_sigterm(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_STOP_SECONDS", 0.2)
    supervisor.start(ProcessSpec("deaf", python("-c", _DEAF), (tmp_path / "deaf").exists))
    supervisor.wait_ready()
    process = supervisor._runs[0].process
    started = time.monotonic()
    supervisor.stop()
    assert process.returncode == -9
    assert time.monotonic() - started < 10


def test_stop_also_ends_the_children_of_a_program(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(ProcessSpec("parent", python("-c", _PARENT), (tmp_path / "child").exists))
    supervisor.wait_ready()
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)
    supervisor.stop()
    assert _gone(child)


def test_stopping_twice_or_with_nothing_running_is_fine(supervisor: Supervisor) -> None:
    supervisor.stop()
    supervisor.start(ProcessSpec("ended", python("-c", ""), lambda: True))
    supervisor.stop()
    supervisor.stop()
