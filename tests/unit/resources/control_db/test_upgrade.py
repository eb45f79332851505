"""A control DB of the version before: what it had acknowledged is done by this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.uploads import counting_uploads
from resources.decisions.store import open_decisions
from resources.erasure.perform import perform_erasure
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import get_erasure, pending_erasures
from resources.jobs.kinds.uploads import list_unfinished_uploads
from resources.jobs.model import JobKind, JobStatus
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobRunner
from resources.jobs.store import list_jobs
from resources.storage.lake import Lake
from resources.uploads.jobs import UploadChecker, job_file

BLUE, GREEN = TenantId("blue"), TenantId("green")
WRITTEN = Path(__file__).with_name("written_before_0008.sql")
LATER = datetime(2024, 6, 1, 13, tzinfo=UTC)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[ControlDb]:
    """Opened, and so migrated, by the code of today."""
    file = tmp_path / "control.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(WRITTEN.read_text(encoding="utf-8"))
    db = open_control_db(f"sqlite:///{file}")
    yield db
    db.close()


def test_its_files_are_checked_also_the_one_that_a_busy_machine_had_used_up(old: ControlDb, tmp_path: Path) -> None:
    """That version counted every claim that ran out as an attempt, so its three say nothing about the file."""
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    for waiting in list_unfinished_uploads(old, GREEN):
        file = job_file(lake, waiting)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"item_id,title\n{waiting.received.filename.removesuffix('.csv')},Lamp\n")
    checker = UploadChecker(lake, old, 10**6)
    runner = JobRunner(JobQueue(old, lambda: LATER, "now"), {JobKind.UPLOAD: checker}, Flag())
    done = []
    while (job := runner.claim()) is not None:
        finished = runner.run(job)
        assert finished is not None
        done.append((job.input["filename"], finished.status))
    assert done == [("slow.csv", JobStatus.DONE), ("waits.csv", JobStatus.DONE)]
    assert [each.filename for each in counting_uploads(old, GREEN)] == ["i.csv", "done.csv", "slow.csv", "waits.csv"]


def test_its_export_is_handed_out_again(old: ControlDb) -> None:
    export = JobQueue(old, lambda: LATER, "now").claim((JobKind.EXPORT,))
    assert export is not None
    assert (export.tenant, export.attempts, export.rests) == (BLUE, 1, 0)


def test_its_erasure_is_done(old: ControlDb, tmp_path: Path) -> None:
    (waiting,) = pending_erasures(old)
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    with closing(open_decisions(f"sqlite:///{tmp_path}/decisions.db")) as decisions:
        perform_erasure(lake, old, decisions, waiting, LATER, home=tmp_path)
    assert get_erasure(old, BLUE, waiting.id).status == "completed"
    assert EventLog(old).export_after(BLUE).is_empty()


def test_what_was_done_stays_as_it_was(old: ControlDb) -> None:
    jobs = list_jobs(old, GREEN, (JobKind.UPLOAD,))
    attempts = sorted((job.input["filename"], job.attempts) for job in jobs)
    assert attempts == [("done.csv", 1), ("slow.csv", 0), ("waits.csv", 0)]
