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
from resources.control_db.upload_jobs import JobStatus, UploadJob, get_job
from resources.control_db.uploads import list_uploads
from resources.jobs.claims import MAX_ATTEMPTS
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from resources.uploads import jobs as upload_jobs
from resources.uploads.contract.columns import Kind
from resources.uploads.jobs import MAX_UNFINISHED, FinishedJob, JobRunner, job_file, submit_upload
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
        return submit_upload(
            self.lake,
            self.db,
            self.tenant,
            Kind.ITEMS,
            file,
            filename="a.csv",
            sha256=identify(file, filename="a.csv", max_bytes=10**6).sha256,
            source="http",
            now=self.now,
            validate_only=validate_only,
        )

    def runner(self, name: str = "one") -> JobRunner:
        return JobRunner(self.lake, self.db, lambda: self.now, name=name, max_bytes=10**6, stop=self.stop)

    def run(self, name: str = "one") -> FinishedJob | None:
        runner = self.runner(name)
        job = runner.claim()
        assert job is not None
        return runner.run(job)

    def job(self, job: UploadJob) -> UploadJob:
        return get_job(self.db, self.tenant, job.job_id)

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
    assert (queued.status, queued.bytes_total, len(desk.files)) == (JobStatus.QUEUED, len(ITEMS), 1)
    assert desk.submit() == queued
    done = desk.run()
    assert done is not None
    assert (done.job.status, done.job.bytes_done) == (JobStatus.STORED, len(ITEMS))
    assert done.report is not None
    assert (done.report.rows_accepted, done.report.rows_rejected) == (1, 1)
    assert desk.stored == [done.report.upload_id] == [desk.job(queued).upload_id]
    assert read_report(desk.lake, desk.tenant, done.report.upload_id) == done.report
    assert desk.job(queued).report is None  # the lake has it
    assert desk.files == []
    assert desk.runner().claim() is None


def test_a_file_that_is_only_checked_leaves_its_report_with_the_job(desk: Desk) -> None:
    queued = desk.submit(validate_only=True)
    assert queued.job_id != desk.submit().job_id
    done = desk.run()
    assert done is not None
    job = desk.job(queued)
    assert job.status is JobStatus.CHECKED
    assert job.report is not None
    assert (job.report["validate_only"], job.report["rows_rejected"]) == (True, 1)
    assert desk.stored == []


def test_a_file_that_cannot_be_read_is_refused_and_removed(desk: Desk) -> None:
    queued = desk.submit("title\nLamp\n")
    desk.run()
    job = desk.job(queued)
    assert (job.status, job.error_code) == (JobStatus.REFUSED, "missing_column")
    assert "item_id" in (job.message or "")
    assert (desk.files, desk.stored) == ([], [])
    assert desk.submit("title\nLamp\n").status is JobStatus.QUEUED  # sent again, it is looked at again


def test_a_process_that_stops_puts_the_job_back(desk: Desk) -> None:
    queued = desk.submit()
    desk.stop.set()
    assert desk.run() is None
    job = desk.job(queued)
    assert (job.status, job.attempts, desk.stored) == (JobStatus.QUEUED, 0, [])
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
    assert desk.job(queued).status is JobStatus.STORED
    assert len(desk.stored) == 1


def test_a_file_that_ends_every_process_fails_in_the_end(desk: Desk) -> None:
    queued = desk.submit()
    for attempt in range(MAX_ATTEMPTS):
        assert desk.runner(f"dead {attempt}").claim() is not None
        desk.now += timedelta(seconds=60)
    other = desk.submit("item_id,title\ni9,Lamp\n")
    claimed = desk.runner().claim()
    assert claimed is not None
    assert claimed.job_id == other.job_id, "no fourth process gets the file into its hands"
    job = desk.job(queued)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "internal_error")
    assert "Split the file" in (job.message or "")
    assert desk.files == [job_file(desk.lake, other).name]


def test_rests_grow_to_a_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    queued, waits = desk.submit(), []
    monkeypatch.setattr(upload_jobs, "store_in_child", failing(LakeUnavailable("away")))
    for _ in range(8):
        with pytest.raises(LakeUnavailable):
            desk.run()
        began = desk.now
        while (again := desk.runner().claim()) is None:
            desk.now += timedelta(seconds=1)
        waits.append((desk.now - began).total_seconds() - 1)
        desk.runner().put_back(again)
        desk.now += timedelta(seconds=1)
    assert waits == [3, 6, 12, 24, 48, 96, 192, 300]
    assert desk.job(queued).attempts == 0


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), LakeUnavailable("away")])
def test_an_outage_only_delays(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    queued = desk.submit()
    for _ in range(MAX_ATTEMPTS + 2):
        with monkeypatch.context() as patch:
            patch.setattr(upload_jobs, "store_in_child", failing(error))
            with pytest.raises(type(error)):
                desk.run()
        assert desk.job(queued).status is JobStatus.QUEUED
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
        runner.give_up(job)
        desk.now += timedelta(minutes=1)
    assert desk.job(queued).status is JobStatus.FAILED
    assert desk.files == []


def test_a_lost_file_is_told(desk: Desk) -> None:
    queued = desk.submit()
    (desk.lake.tenant(desk.tenant).upload_jobs / desk.files[0]).unlink()
    desk.run()
    assert desk.job(queued).status is JobStatus.FAILED
    assert "Send it again" in (desk.job(queued).message or "")


def test_too_many_jobs_are_refused_and_leave_nothing(desk: Desk) -> None:
    for number in range(MAX_UNFINISHED):
        desk.submit(f"item_id,title\ni{number},Lamp\n")
        desk.now += timedelta(seconds=1)
    with pytest.raises(TooManyRequests):
        desk.submit()
    assert len(desk.files) == MAX_UNFINISHED


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
    assert desk.job(waiting).status is JobStatus.QUEUED
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
