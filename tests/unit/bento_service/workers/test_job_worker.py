"""Claims are kept by the process that has claimed, whatever becomes of its child; and its threads go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from bento_service.workers import job_worker
from bento_service.workers.job_worker import JobWorker, WorkedKind
from resources.base.errors import NotReady
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tables.jobs import JobRow
from resources.jobs.claims import LEASE, MAX_ATTEMPTS
from resources.jobs.kinds.exports import ExportFormat, ExportRequest, add_export
from resources.jobs.kinds.uploads import ReceivedUpload, UploadJob, UploadJobStatus, get_upload_job
from resources.jobs.model import Job, JobKind, JobStatus, Outcome
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobRunner
from resources.processes.interpreter import ChildBroke, run_in_child
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.jobs import UploadChecker, submit_upload
from tests.unit.bento_service.shop import NOW, open_shop

DEADLINE_SECONDS = 120
Check = Callable[[Job, Event], Outcome | None]


class Place:
    """An installation with shops, whose clock stands unless it is moved."""

    def __init__(self, db: ControlDb, lake: Lake, folder: Path) -> None:
        self.db, self.lake, self.folder, self.now = db, lake, folder, NOW

    def shop(self, name: str) -> TenantId:
        return open_shop(name, lake=self.lake, db=self.db, prefix=name[0]).tenant

    def submit(self, tenant: TenantId, name: str) -> UploadJob:
        file = self.folder / name
        file.write_text(f"item_id,title\n{name},Lamp\n")
        received = ReceivedUpload(
            kind=Kind.ITEMS.value,
            filename=f"{name}.csv",
            source="http",
            sha256=f"{name:0>16}" + "0" * 48,
            validate_only=False,
            bytes_total=file.stat().st_size,
        )
        return submit_upload(TenantStore(self.lake, self.db, tenant), file, received, now=self.now)

    def clock(self) -> datetime:
        return self.now

    def worker(self, check: Check | None, *, at_once: int = 2) -> JobWorker:
        """A worker for uploads, which are checked as a test wants it."""

        def run(job: Job, *, worker: str, stop: Event) -> Outcome | None:
            assert check is not None
            return check(job, stop)

        kind = WorkedKind(
            handler=UploadChecker(self.lake, self.db, 10**6),
            at_once=at_once,
            most_of_one=1,
            run=None if check is None else run,
            tell=lambda *_: None,
        )
        return JobWorker(self.db, self.clock, {JobKind.UPLOAD: kind}, count=lambda: None)

    def runner(self, worker: JobWorker, stop: Event) -> JobRunner:
        checker = UploadChecker(self.lake, self.db, 10**6)
        return JobRunner(JobQueue(self.db, self.clock, worker.name), {JobKind.UPLOAD: checker}, stop)

    def row(self, job: UploadJob) -> JobRow:
        with self.db.read() as session:
            return session.get_one(JobRow, (job.tenant.value, job.job_id))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    settings = load_settings()
    db = open_control_db(settings.database_url)
    yield Place(db, Lake.open(settings.lake_url, scratch=settings.scratch), tmp_path)
    db.close()


@contextmanager
def working(worker: JobWorker) -> Iterator[Thread]:
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

    def check(job: Job, stop: Event) -> Outcome | None:
        assert run_in_child("late_child", [str(gate)], stop=stop) == {}
        return place.runner(worker, stop).run(job)

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
    assert (row.status, row.attempts) == (JobStatus.DONE, 1)


def test_a_claim_that_is_lost_interrupts_the_work_and_is_not_counted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_worker, "RENEW_SECONDS", 0.02, raising=False)
    job = place.submit(place.shop("acme"), "i1")

    def check(job: Job, stop: Event) -> Outcome | None:
        with place.db.write() as session:
            session.get_one(JobRow, (job.tenant.value, job.id)).claimed_by = "another"
        assert stop.wait(DEADLINE_SECONDS)
        raise ChildBroke("killed, because it did not listen")

    assert place.worker(check).run_next()
    row = place.row(job)
    assert (row.status, row.claimed_by, row.attempts) == (JobStatus.RUNNING, "another", 1)


def test_a_worker_that_stops_puts_the_job_back_though_its_child_does_not(place: Place) -> None:
    job = place.submit(place.shop("acme"), "i1")

    def check(job: Job, stop: Event) -> Outcome | None:
        worker_.stop()
        assert stop.is_set()
        raise ChildBroke("killed, because it did not listen")

    worker_ = place.worker(check, at_once=1)
    worker_._threads.clear()  # none was started
    assert worker_.run_next()
    assert (get_upload_job(place.db, job.tenant, job.job_id).status, place.row(job).attempts) == (
        UploadJobStatus.QUEUED,
        0,
    )


def test_an_outage_that_only_the_child_met_is_not_counted(place: Place) -> None:
    """It could not even put its job back."""
    job = place.submit(place.shop("acme"), "i1")

    def check(job: Job, stop: Event) -> Outcome | None:
        raise NotReady("away")

    for turn in range(MAX_ATTEMPTS + 2):
        assert place.worker(check).run_next()
        row = place.row(job)
        assert (row.status, row.attempts, row.rests) == (JobStatus.QUEUED, 0, turn + 1)
        place.now += timedelta(minutes=6)


def test_a_child_that_dies_is_counted_and_the_job_ends_as_failed(place: Place) -> None:
    job = place.submit(place.shop("acme"), "i1")

    def check(job: Job, stop: Event) -> Outcome | None:
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

    def check(job: Job, stop: Event) -> Outcome | None:
        begun.append(job.input["filename"])
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


class Stumbling(JobWorker):
    """Every call fails once, with an error that nobody expects."""

    def __init__(self, place: Place, kind: WorkedKind) -> None:
        super().__init__(place.db, place.clock, {JobKind.UPLOAD: kind}, count=lambda: None)
        self.failed: set[str] = set()

    def once(self, name: str) -> None:
        if name not in self.failed:
            self.failed.add(name)
            raise ZeroDivisionError(name)

    def _take(self) -> tuple[Job, Event] | None:
        self.once("take")
        return super()._take()

    def _work(self, job: Job, interrupt: Event) -> Outcome | None:
        self.once("work")
        return super()._work(job, interrupt)


def test_no_error_ends_the_thread(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_worker, "_POLL_SECONDS", 0.01)
    over = Event()

    def tell(job: Job, outcome: Outcome, seconds: float) -> None:
        over.set()
        worker.once("tell")

    kind = WorkedKind(handler=UploadChecker(place.lake, place.db, 10**6), at_once=1, tell=tell)
    worker = Stumbling(place, kind)
    job = place.submit(place.shop("acme"), "i1")
    worker.start()
    try:
        wait_until(lambda: "work" in worker.failed)
        wait_until(lambda: place.row(job).rests == 1)
        place.now += timedelta(minutes=1)
        assert over.wait(DEADLINE_SECONDS)
    finally:
        worker.stop()
    assert worker.failed == {"take", "work", "tell"}
    assert place.row(job).status == JobStatus.DONE


def test_jobs_that_cannot_be_counted_take_no_place(place: Place) -> None:
    def count() -> None:
        raise OperationalError("SELECT", None, Exception("database is locked"))

    told: list[str] = []
    checker = UploadChecker(place.lake, place.db, 10**6)
    kind = WorkedKind(handler=checker, at_once=1, tell=lambda job, *_: told.append(job.id))
    worker = JobWorker(place.db, place.clock, {JobKind.UPLOAD: kind}, count=count)
    tenant = place.shop("acme")
    jobs = [place.submit(tenant, name) for name in ("i1", "i2")]
    assert worker.run_next() and worker.run_next()
    assert told == [job.job_id for job in jobs]
    assert [place.row(job).status for job in jobs] == [JobStatus.DONE] * 2


def test_kinds_have_places_of_their_own(place: Place) -> None:
    """A long check keeps no other kind of job waiting, and no third check begins beside two."""
    begun, go_on = [], Event()

    def run(job: Job, *, worker: str, stop: Event) -> Outcome | None:
        begun.append(job.id)
        assert go_on.wait(DEADLINE_SECONDS)
        return None

    checker = UploadChecker(place.lake, place.db, 10**6)
    kinds = {
        JobKind.UPLOAD: WorkedKind(handler=checker, at_once=2, run=run, tell=lambda *_: None),
        JobKind.EXPORT: WorkedKind(handler=checker, at_once=1, run=run, tell=lambda *_: None),
    }
    tenant = place.shop("acme")
    uploads = [place.submit(tenant, name).job_id for name in ("i1", "i2", "i3")]
    export = add_export(place.db, tenant, ExportRequest(count=1, scenario=None, format=ExportFormat.CSV), now=place.now)
    worker = JobWorker(place.db, place.clock, kinds, count=lambda: None)
    worker.start()
    try:
        wait_until(lambda: len(begun) == 3)
        assert not worker.run_next(), "no place is free"
        assert set(begun) == {*uploads[:2], export.id}
    finally:
        go_on.set()
        worker.stop()
