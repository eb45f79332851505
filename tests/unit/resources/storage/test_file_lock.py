"""One holder of a lock on one machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from resources.storage.file_lock import file_lock, try_lock

_HOLDER = """
import sys, time
from pathlib import Path
from resources.storage.file_lock import file_lock
with file_lock(Path(sys.argv[1])):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


def test_a_lock_has_one_holder_and_is_free_behind_it(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "blue"
    with file_lock(file), open(file) as other:
        assert not try_lock(other)
        assert not try_lock(other, shared=True)
    with open(file) as other:
        assert try_lock(other)


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        with file_lock(tmp_path / "lock"):
            order.append("second")

    second = threading.Thread(target=wait)
    with file_lock(tmp_path / "lock"):
        second.start()
        waits.wait()
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(file)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with open(file) as other:
            assert not try_lock(other)
            holder.kill()
            holder.wait()
            assert try_lock(other)


def test_two_may_look_at_once_whether_a_lock_is_free(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch()
    with open(file) as one, open(file) as two, open(file) as three:
        assert try_lock(one, shared=True)
        assert try_lock(two, shared=True)
        assert not try_lock(three)


def test_what_is_written_in_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.write_text("run-1")
    with file_lock(file):
        assert file.read_text() == "run-1"
