"""Large uploads from submission to report, with processes that stop, die and lose their storage."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from resources.base.errors import LakeUnavailable, TooManyRequests, UploadJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import list_uploads
from resources.jobs.claims import MAX_ATTEMPTS, OUTAGES
from resources.jobs.kinds.uploads import ReceivedUpload, UploadJob, UploadJobStatus, get_upload_job
from resources.jobs.model import JobKind
from resources.jobs.queue import JobQueue
from resources.jobs.registry import POLICIES
from resources.jobs.runner import JobRunner
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.uploads import jobs as upload_jobs
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.report import UploadReport
from resources.uploads.jobs import UploadChecker, UploadOutcome, cancel_upload, job_file, submit_upload
from resources.uploads.parsing.uploaded_file import identify
from resources.uploads.store import read_report
from resources.uploads.store_in_child import store_in_child

ITEMS = "item_id,title\ni1,Lamp\ni2,\n"
Shops = tuple[TenantId, TenantId]


class Desk:
    """A lake, a control DB and a clock, as several processes see them."""

    def __init__(self, folder: Path, lake: Lake, db: ControlDb, tenant: TenantId, now: datetime) -> None:
        self.lake = lake
        self.db, self.tenant, self.now, self.folder = db, tenant, now, folder
        self.stop = Event()

    def submit(self, text: str = ITEMS, *, validate_only: bool = False) -> UploadJob:
        file = self.folder / "received"
        file.write_text(text)
        received = ReceivedUpload(
            kind=Kind.ITEMS.value,
            filename="a.csv",
            source="http",
            sha256=identify(file, filename="a.csv", max_bytes=10**6).sha256,
            validate_only=validate_only,
            bytes_total=file.stat().st_size,
        )
        return submit_upload(TenantStore(self.lake, self.db, self.tenant), file, received, now=self.now)

    def runner(self, name: str = "one") -> JobRunner:
        checker = UploadChecker(self.lake, self.db, 10**6)
        return JobRunner(JobQueue(self.db, self.clock, name), {JobKind.UPLOAD: checker}, self.stop)

    def clock(self) -> datetime:
        return self.now

    def run(self, name: str = "one") -> UploadReport | None:
        """The report of the file that was checked; None when there is none."""
        runner = self.runner(name)
        job = runner.claim()
        assert job is not None
        try:
            outcome = runner.run(job)
        except OUTAGES as error:  # as a worker does
            runner.give_up(job, error)
            raise
        return outcome.report if isinstance(outcome, UploadOutcome) else None

    def job(self, job: UploadJob) -> UploadJob:
        return get_upload_job(self.db, self.tenant, job.job_id)

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in list_files(self.lake.tenant(self.tenant).upload_jobs))

    @property
    def stored(self) -> list[str]:
        return [record.upload_id for record in list_uploads(self.db, self.tenant)]


@pytest.fixture
def desk(tmp_path: Path, db: ControlDb, shops: Shops, now: datetime) -> Desk:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    return Desk(tmp_path, lake, db, shops[0], now)


def failing(error: BaseException) -> Callable[..., Any]:
    def store(*_: object, **__: object) -> None:
        raise error

    return store


def test_the_file_is_stored_once_with_the_report_of_a_small_one(desk: Desk) -> None:
    queued = desk.submit()
    assert (queued.status, queued.received.bytes_total, len(desk.files)) == (UploadJobStatus.QUEUED, len(ITEMS), 1)
    assert desk.submit() == queued
    report = desk.run()
    assert report is not None
    job = desk.job(queued)
    assert (job.status, job.bytes_done) == (UploadJobStatus.STORED, len(ITEMS))
    assert (report.rows_accepted, report.rows_rejected) == (1, 1)
    assert desk.stored == [report.upload_id] == [job.upload_id]
    assert read_report(desk.lake, desk.tenant, report.upload_id) == report
    assert desk.job(queued).report is None  # the lake has it
    assert desk.files == []
    assert desk.runner().claim() is None


def test_a_file_that_is_only_checked_leaves_its_report_with_the_job(desk: Desk) -> None:
    queued = desk.submit(validate_only=True)
    assert queued.job_id != desk.submit().job_id
    done = desk.run()
    assert done is not None
    job = desk.job(queued)
    assert job.status is UploadJobStatus.CHECKED
    assert job.report is not None
    assert (job.report["validate_only"], job.report["rows_rejected"]) == (True, 1)
    assert desk.stored == []


def test_a_file_that_cannot_be_read_is_refused_and_removed(desk: Desk) -> None:
    queued = desk.submit("title\nLamp\n")
    desk.run()
    job = desk.job(queued)
    assert (job.status, job.error_code) == (UploadJobStatus.REFUSED, "missing_column")
    assert "item_id" in (job.message or "")
    assert (desk.files, desk.stored) == ([], [])
    assert desk.submit("title\nLamp\n").status is UploadJobStatus.QUEUED  # sent again, it is looked at again


def test_a_process_that_stops_puts_the_job_back(desk: Desk) -> None:
    queued = desk.submit()
    desk.stop.set()
    assert desk.run() is None
    job = desk.job(queued)
    assert (job.status, job.attempts, desk.stored) == (UploadJobStatus.QUEUED, 0, [])
    desk.stop.clear()
    desk.now += timedelta(seconds=1)
    assert desk.run("two") is not None
    assert len(desk.stored) == 1


def test_a_process_that_dies_is_followed_by_another(desk: Desk) -> None:
    queued = desk.submit()
    dead = desk.runner("dead")
    claimed = dead.claim()
    assert claimed is not None
    assert desk.runner("two").claim() is None
    desk.now += timedelta(seconds=60)
    done = desk.run("two")
    assert done is not None
    # The first one was only slow: what it does now changes nothing.
    assert dead.run(claimed) is None
    assert desk.job(queued).status is UploadJobStatus.STORED
    assert len(desk.stored) == 1


def test_a_file_that_ends_every_process_fails_in_the_end(desk: Desk) -> None:
    queued = desk.submit()
    for attempt in range(MAX_ATTEMPTS):
        assert desk.runner(f"dead {attempt}").claim() is not None
        desk.now += timedelta(seconds=60)
    other = desk.submit("item_id,title\ni9,Lamp\n")
    claimed = desk.runner().claim()
    assert claimed is not None
    assert claimed.id == other.job_id, "no fourth process gets the file into its hands"
    job = desk.job(queued)
    assert (job.status, job.error_code) == (UploadJobStatus.FAILED, "internal_error")
    assert "Split the file" in (job.message or "")
    assert desk.files == [job_file(desk.lake, other).name]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), LakeUnavailable("away")])
def test_an_outage_only_delays(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    queued = desk.submit()
    for _ in range(MAX_ATTEMPTS + 2):
        with monkeypatch.context() as patch:
            patch.setattr(upload_jobs, "store_in_child", failing(error))
            with pytest.raises(type(error)):
                desk.run()
        assert desk.job(queued).status is UploadJobStatus.QUEUED
        assert desk.runner().claim() is None
        desk.now += timedelta(minutes=1)
    assert desk.run() is not None
    assert len(desk.stored) == 1


def test_an_error_nobody_expected_is_tried_again_and_then_told(desk: Desk) -> None:
    queued = desk.submit()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        runner = desk.runner()
        job = runner.claim()
        assert job is not None
        assert job.attempts == attempt
        runner.give_up(job, ZeroDivisionError())
        desk.now += timedelta(minutes=1)
    assert desk.job(queued).status is UploadJobStatus.FAILED
    assert desk.files == []


def test_a_lost_file_is_told(desk: Desk) -> None:
    queued = desk.submit()
    (desk.lake.tenant(desk.tenant).upload_jobs / desk.files[0]).unlink()
    desk.run()
    assert desk.job(queued).status is UploadJobStatus.FAILED
    assert "Send it again" in (desk.job(queued).message or "")


def test_a_cancelled_upload_leaves_no_file_and_is_told_as_such(desk: Desk) -> None:
    queued, other = desk.submit(), desk.submit("item_id,title\ni9,Lamp\n")
    running = desk.runner().claim()
    assert running is not None
    for job in (queued, other):
        cancel_upload(TenantStore(desk.lake, desk.db, desk.tenant), job.job_id, now=desk.now)
    assert desk.files == []
    assert desk.runner().run(running) is None, "what it does now changes nothing"
    told = desk.job(queued)
    assert (told.status, told.error_code, told.finished) == (UploadJobStatus.FAILED, "cancelled", True)
    assert desk.runner().claim() is None
    assert desk.submit().status is UploadJobStatus.QUEUED, "sent again, it is looked at"


def test_too_many_jobs_are_refused_and_leave_nothing(desk: Desk) -> None:
    most = POLICIES[JobKind.UPLOAD].max_unfinished
    assert most is not None
    for number in range(most):
        desk.submit(f"item_id,title\ni{number},Lamp\n")
        desk.now += timedelta(seconds=1)
    with pytest.raises(TooManyRequests):
        desk.submit()
    assert len(desk.files) == most


def test_what_was_never_acknowledged_and_what_is_long_done_goes(desk: Desk) -> None:
    done = desk.submit()
    desk.run()
    waiting = desk.submit("item_id,title\ni9,Lamp\n")
    (kept,) = desk.files
    folder = desk.lake.tenant(desk.tenant).upload_jobs
    (folder / "20200101T000000.000000-store-items-x").write_bytes(b"left by a process that died")
    (folder / ".20200101T000000.000000-store-items-x.tmp").write_bytes(b"half")
    desk.now += timedelta(days=8)
    desk.submit("item_id,title\ni10,Lamp\n")
    assert len(desk.files) == 2
    assert kept in desk.files
    assert desk.job(waiting).status is UploadJobStatus.QUEUED
    with pytest.raises(UploadJobNotFound):
        desk.job(done)


def test_progress_counts_bytes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def store(*args: Any, on_progress: Callable[[int], None], **options: Any) -> Any:
        def noted(bytes_done: int) -> None:
            seen.append(bytes_done)
            on_progress(bytes_done)

        return store_in_child(*args, on_progress=noted, **options)

    monkeypatch.setattr(upload_jobs, "store_in_child", store)
    desk.submit()
    assert desk.run() is not None
    assert seen == sorted(seen)
    assert 0 < seen[-1] <= len(ITEMS)
