"""Claims are kept by the process that has claimed, whatever becomes of its child; and its threads go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from bento_service.telemetry.metrics import Metrics
from bento_service.workers import job_worker
from bento_service.workers.job_worker import JobWorker
from bento_service.workers.upload_worker import UploadWorker
from resources.base.errors import NotReady
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tables import UploadJobRow
from resources.control_db.upload_jobs import JobStatus, UploadJob, get_job
from resources.jobs.claims import LEASE, MAX_ATTEMPTS
from resources.processes.interpreter import ChildBroke, run_in_child
from resources.storage.lake import Lake
from resources.uploads.contract.columns import Kind
from resources.uploads.jobs import FinishedJob, JobRunner, submit_upload
from tests.unit.bento_service.shop import NOW, open_shop

DEADLINE_SECONDS = 120
Check = Callable[[UploadJob, Event], FinishedJob | None]


class Checking(UploadWorker):
    """A worker whose files are checked as a test wants it."""

    check: Check

    def _work(self, job: UploadJob, interrupt: Event) -> FinishedJob | None:
        return self.check(job, interrupt)


class Place:
    """An installation with shops, whose clock stands unless it is moved."""

    def __init__(self, db: ControlDb, lake: Lake, folder: Path) -> None:
        self.db, self.lake, self.folder, self.now = db, lake, folder, NOW

    def shop(self, name: str) -> TenantId:
        return open_shop(name, lake=self.lake, db=self.db, prefix=name[0]).tenant

    def submit(self, tenant: TenantId, name: str) -> UploadJob:
        file = self.folder / name
        file.write_text(f"item_id,title\n{name},Lamp\n")
        return submit_upload(
            self.lake,
            self.db,
            tenant,
            Kind.ITEMS,
            file,
            filename=f"{name}.csv",
            sha256=f"{name:0>16}" + "0" * 48,
            source="http",
            now=self.now,
            validate_only=False,
        )

    def worker(self, check: Check | None, *, processes: int = 1) -> UploadWorker:
        of = UploadWorker if check is None else Checking
        worker = of(self.lake, self.db, lambda: self.now, Metrics(), max_bytes=10**6, processes=processes)
        if isinstance(worker, Checking) and check is not None:
            worker.check = check
        return worker

    def row(self, job: UploadJob) -> UploadJobRow:
        with self.db.read() as session:
            return session.get_one(UploadJobRow, (job.tenant.value, job.job_id))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    settings = load_settings()
    db = open_control_db(settings.database_url)
    yield Place(db, Lake.open(settings.lake_url, scratch=settings.scratch), tmp_path)
    db.close()


@contextmanager
def working(worker: UploadWorker) -> Iterator[Thread]:
    """One job, in a thread as in the service."""
    thread = Thread(target=worker.run_next)
    thread.start()
    yield thread
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


LATE = """
import pathlib, time

def main(gate):
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
    print("{}")
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["slow to start", "stopped"])
def test_a_child_that_gets_no_time_loses_no_claim(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """Three leases long it does nothing: it has not begun yet, or the machine has stopped it."""
    (tmp_path / "late_child.py").write_text(LATE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(job_worker, "RENEW_SECONDS", 0.02, raising=False)
    gate, job = tmp_path / "gate", place.submit(place.shop("acme"), "i1")

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        assert run_in_child("late_child", [str(gate)], stop=stop) == {}
        return JobRunner(place.lake, place.db, lambda: place.now, name=worker.name, max_bytes=10**6, stop=stop).run(job)

    def children() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if "late_child" in child.cmdline()]

    worker = place.worker(check)
    with working(worker):
        wait_until(lambda: bool(children()))
        (child,) = children()
        if stopped:
            child.suspend()
        for _ in range(4):
            place.now += LEASE * 0.9
            wait_until(lambda: (place.row(job).claimed_until or NOW) >= place.now + LEASE)
            assert not place.worker(None).run_next(), "nobody else gets it"
        gate.touch()
        child.resume()
    row = place.row(job)
    assert (row.status, row.attempts) == (JobStatus.STORED, 1)


def test_a_claim_that_is_lost_interrupts_the_work_and_is_not_counted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_worker, "RENEW_SECONDS", 0.02, raising=False)
    job = place.submit(place.shop("acme"), "i1")

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        with place.db.write() as session:
            session.get_one(UploadJobRow, (job.tenant.value, job.job_id)).claimed_by = "another"
        assert stop.wait(DEADLINE_SECONDS)
        raise ChildBroke("killed, because it did not listen")

    assert place.worker(check).run_next()
    row = place.row(job)
    assert (row.status, row.claimed_by, row.attempts) == (JobStatus.CHECKING, "another", 1)


def test_a_worker_that_stops_puts_the_job_back_though_its_child_does_not(place: Place) -> None:
    job = place.submit(place.shop("acme"), "i1")

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        worker_.stop()
        assert stop.is_set()
        raise ChildBroke("killed, because it did not listen")

    worker_ = place.worker(check, processes=2)
    worker_._threads.clear()  # none was started
    assert worker_.run_next()
    assert (get_job(place.db, job.tenant, job.job_id).status, place.row(job).attempts) == (JobStatus.QUEUED, 0)


def test_an_outage_that_only_the_child_met_is_not_counted(place: Place) -> None:
    """It could not even put its job back."""
    job = place.submit(place.shop("acme"), "i1")

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        raise NotReady("away")

    for turn in range(MAX_ATTEMPTS + 2):
        assert place.worker(check).run_next()
        row = place.row(job)
        assert (row.status, row.attempts, row.rests) == (JobStatus.QUEUED, 0, turn + 1)
        place.now += timedelta(minutes=6)


def test_a_child_that_dies_is_counted_and_the_job_ends_as_failed(place: Place) -> None:
    job = place.submit(place.shop("acme"), "i1")

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        raise ChildBroke("exit status -9")

    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert place.row(job).status == JobStatus.QUEUED
        assert place.worker(check).run_next()
        assert place.row(job).attempts == attempt
        assert not place.worker(check).run_next(), "it rests"
        place.now += timedelta(minutes=6)
    assert place.row(job).status == JobStatus.FAILED


def test_one_tenants_long_checks_leave_a_lane_to_another_tenant(place: Place) -> None:
    """One process has two lanes."""
    blue, green = place.shop("blue"), place.shop("green")
    begun, go_on = [], Event()

    def check(job: UploadJob, stop: Event) -> FinishedJob | None:
        begun.append(job.filename)
        assert go_on.wait(DEADLINE_SECONDS)
        return None

    for name in ("b1", "b2", "b3"):
        place.submit(blue, name)
    worker = place.worker(check)
    worker.start()
    try:
        wait_until(lambda: len(begun) == 1)
        place.submit(green, "g1")
        worker.wake()
        wait_until(lambda: len(begun) == 2)
        assert "g1.csv" in begun, "the second lane was not blue's"
    finally:
        go_on.set()
        worker.stop()


class Stumbling(JobWorker[int, int]):
    """Every call fails once, with an error that nobody expects."""

    def __init__(self) -> None:
        super().__init__("stumbling")
        self.failed: set[str] = set()
        self.done: list[int] = []
        self.over = Event()

    def _once(self, name: str) -> None:
        if name not in self.failed:
            self.failed.add(name)
            raise ZeroDivisionError(name)

    def _claim(self) -> int | None:
        self._once("claim")
        return None if self.over.is_set() else 1

    def _renew(self, job: int) -> bool:
        return True

    def _work(self, job: int, interrupt: Event) -> int:
        self._once("work")
        return job

    def _finished(self, job: int, done: int, seconds: float) -> None:
        self._once("finished")
        self.over.set()

    def _broke_off(self, job: int, error: Exception, *, interrupted: bool) -> None:
        self._once("broke off")


def test_no_error_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_worker, "_POLL_SECONDS", 0.01)
    worker = Stumbling()
    worker.start()
    try:
        assert worker.over.wait(DEADLINE_SECONDS)
    finally:
        worker.stop()
    assert worker.failed == {"claim", "work", "finished", "broke off"}
