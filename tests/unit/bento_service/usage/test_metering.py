"""Counts of a worker reach the control DB once, whatever ends the worker or keeps the database away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from bento_service.usage import metering
from bento_service.usage.metering import Metering
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.usage.current import Usage, usage_of
from tests.unit.bento_service.shop import NOW

BLUE = TenantId("blue")
ROUTE = "/api/v1/recommendations"


def stored(db: ControlDb, tenant: TenantId = BLUE) -> Usage:
    with db.read() as session:
        return usage_of(session, tenant, since=date.min, until=date.max)


def count(meter: Metering, calls: int = 1, *, status: int = 200, key: str = "k1") -> None:
    for _ in range(calls):
        meter.counters.call("blue", key, "POST", ROUTE, status)
        meter.counters.recommended(BLUE, key, "recommend", 10)


class Outage:
    """Lets every commit of a database fail while it is on: before it is made, or after, when nobody hears of it."""

    def __init__(self, db: ControlDb) -> None:
        self.before = self.after = False
        event.listen(db.engine, "commit", self._commit)
        event.listen(db.engine, "begin", self._begin)

    def _begin(self, connection: object) -> None:
        if self.before:
            raise OperationalError("BEGIN", {}, Exception("away"))

    def _commit(self, connection: object) -> None:
        if self.after:
            connection.connection.commit()  # type: ignore[attr-defined]
            raise OperationalError("COMMIT", {}, Exception("gone before it answered"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "usage"


@pytest.fixture
def meter(db: ControlDb, folder: Path) -> Iterator[Metering]:
    """One with a journal, and without threads: the test says when it takes and writes."""
    meter = Metering(db, lambda: NOW, folder)
    meter._journal = metering.Journal(folder, meter._worker)
    yield meter
    meter.stop()


@pytest.mark.databases
def test_counts_are_written_once(meter: Metering, db: ControlDb, folder: Path) -> None:
    count(meter, 3)
    count(meter, 2, status=503)
    count(meter, 1, status=429)
    meter.take()
    assert len(list(folder.glob("*.json"))) == 1
    assert meter.write() and meter.write()
    assert stored(db) == Usage(calls=3, failed_calls=2, refused_calls=1, recommended_items=60)
    assert not list(folder.glob("*.json"))


@pytest.mark.databases
def test_an_outage_delays_and_doubles_nothing(meter: Metering, db: ControlDb, folder: Path) -> None:
    outage = Outage(db)
    outage.before = True
    for _ in range(5):
        count(meter, 10)
        meter.take()
        assert not meter.write()
    assert [batch.number for batch in meter._waiting] == [1, 2]  # however long it takes, two batches
    outage.before = False
    assert meter.write()
    assert stored(db).calls == 50


@pytest.mark.databases
def test_a_commit_that_nobody_heard_of_counts_once(meter: Metering, db: ControlDb) -> None:
    outage = Outage(db)
    outage.after = True
    count(meter, 10)
    meter.take()
    assert not meter.write()
    count(meter, 5)
    meter.take()
    assert not meter.write()
    outage.after = False
    assert meter.write()
    assert stored(db).calls == 15


_KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from bento_service.usage.metering import Journal, Metering
from resources.control_db.engine import open_control_db
db = open_control_db(sys.argv[1], migrate=False)
meter = Metering(db, lambda: datetime(2026, 1, 1, tzinfo=UTC), Path(sys.argv[2]))
meter._journal = Journal(Path(sys.argv[2]), meter._worker)
for _ in range(10):
    meter.counters.call("blue", "k1", "POST", "/api/v1/recommendations", 200)
meter.take()
if sys.argv[3] == "written":
    with db.write() as session:
        from resources.usage.adding import add_batch
        add_batch(session, meter._waiting[0], now=datetime(2026, 1, 1, tzinfo=UTC))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.databases
@pytest.mark.parametrize("what", ["waiting", "written"])
def test_what_a_killed_worker_has_left_is_counted_once(
    meter: Metering, db: ControlDb, folder: Path, database_url: str, what: str
) -> None:
    """Killed before it wrote, or after that and before it removed its journal."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _KILLED, database_url, str(folder), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None and worker.stdout.readline() == b"ready\n"
        assert meter.take_over() == 0  # it lives
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert meter.take_over() == (1 if what == "waiting" else 0)
    assert meter.take_over() == 0
    assert stored(db).calls == 10
    assert not list(folder.glob("*.json"))


def test_what_cannot_be_written_at_the_end_is_for_the_next_worker(db: ControlDb, folder: Path) -> None:
    outage = Outage(db)
    outage.before = True
    first = Metering(db, lambda: NOW, folder)
    first.start()
    count(first, 10)
    first.stop()
    outage.before = False
    assert stored(db).calls == 0
    second = Metering(db, lambda: NOW, folder)
    assert second.take_over() >= 1
    assert stored(db).calls == 10


def test_a_batch_that_is_refused_holds_up_no_other(
    meter: Metering, db: ControlDb, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise ProgrammingError("INSERT", {}, Exception("no such column"))

    count(meter, 1)
    meter.take()
    with monkeypatch.context() as patch:
        patch.setattr(metering, "add_batch", refuse)
        assert meter.write()
    (refused,) = folder.glob("*.refused")
    assert '"blue"' in refused.read_text()
    count(meter, 2)
    meter.take()
    assert meter.write()
    assert stored(db).calls == 2


def test_a_damaged_journal_is_left_where_it_is(meter: Metering, db: ControlDb, folder: Path) -> None:
    (folder / "ff.json").write_text('[{"worker": "ff"')
    assert meter.take_over() == 0
    assert (folder / "ff.json").exists()


def test_many_keys_in_an_outage_are_added_up(meter: Metering, db: ControlDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_MOST_ENTRIES", 3)
    outage = Outage(db)
    outage.before = True
    for number in range(8):
        count(meter, 1, key=f"k{number}")
        meter.take()
        assert not meter.write()
    assert all(len(batch.entries) <= 3 for batch in meter._waiting)
    outage.before = False
    assert meter.write()
    assert stored(db).calls == 8


@pytest.mark.databases
def test_what_is_not_written_yet_is_known(meter: Metering) -> None:
    count(meter, 1)
    meter.take()  # taken, not written
    count(meter, 2)
    assert meter.not_written(BLUE).calls == 3
    assert meter.not_written(TenantId("green")) == Usage()
    assert meter.write()
    assert meter.not_written(BLUE).calls == 2


@pytest.mark.databases
def test_a_batch_that_is_left_over_and_refused_is_set_aside(
    meter: Metering, db: ControlDb, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its journal are written, and nobody tries it again."""
    add = metering.add_batch

    def refuse(session: Session, batch: metering.Batch, *, now: datetime) -> bool:
        if batch.number == 1:
            raise ProgrammingError("INSERT", {}, Exception("no such column"))
        return add(session, batch, now=now)

    outage = Outage(db)
    outage.before = True
    gone = Metering(db, lambda: NOW, folder)
    gone._journal = metering.Journal(folder, gone._worker)
    for calls in (1, 2):
        count(gone, calls)
        gone.take()
        assert not gone.write()
    gone._journal.close()
    outage.before = False
    monkeypatch.setattr(metering, "add_batch", refuse)
    assert meter.take_over() == 1
    assert meter.take_over() == 0
    assert stored(db).calls == 2
    assert [file.suffixes for file in folder.glob("*.refused")] == [[".1", ".refused"]]
    assert not list(folder.glob("*.json"))


def test_a_journal_that_cannot_be_opened_holds_up_no_other(
    meter: Metering, db: ControlDb, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_left_over = metering.LeftOver

    def opened(file: Path) -> metering.LeftOver:
        if file.name == "aa.json":
            raise PermissionError(13, "not allowed")
        return open_left_over(file)

    monkeypatch.setattr(metering, "LeftOver", opened)
    (folder / "aa.json").write_text("[]")
    (folder / "bb.json").write_text("[]")
    assert meter.take_over() == 0
    assert not (folder / "bb.json").exists()


@pytest.mark.parametrize("step", ["take", "take_over", "write"])
def test_a_disk_that_fails_once_ends_no_thread(
    db: ControlDb, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(metering, "TAKE_SECONDS", 0.01)
    monkeypatch.setattr(metering, "_LEFT_OVER_SECONDS", 0.0)
    monkeypatch.setattr(metering, "_RETRY_SECONDS", 0.01)
    meter = Metering(db, lambda: NOW, folder)
    do, failed = getattr(meter, step), Event()

    def fails_once() -> object:
        if not failed.is_set():
            failed.set()
            raise OSError(28, "no space left on device")
        return do()

    monkeypatch.setattr(meter, step, fails_once)
    count(meter, 3)
    meter.start()
    try:
        assert failed.wait(30)
        until = monotonic() + 30
        while stored(db).calls < 3 and monotonic() < until:
            assert all(thread.is_alive() for thread in meter._threads)
            Event().wait(0.01)
        assert stored(db).calls == 3
    finally:
        meter.stop()
