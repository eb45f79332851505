"""The thread that checks large uploads: one file at a time per process, so that answers are not slowed."""

from __future__ import annotations

import os
import secrets
import socket
from threading import Event, Thread
from time import perf_counter
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.metrics import Metrics
from resources.control_db.engine import ControlDb
from resources.control_db.upload_jobs import UploadJob, count_unfinished
from resources.lake import Lake
from resources.upload_check import STOP_SECONDS
from resources.upload_jobs import OUTAGES, Clock, FinishedJob, JobRunner

_POLL_SECONDS = 1.0
_log = structlog.get_logger("recsaas.uploads")


class Check(Protocol):
    """Works on a job that `worker` has claimed; None when `stop` interrupted it."""

    def __call__(self, job: UploadJob, *, worker: str, stop: Event) -> FinishedJob | None: ...


class UploadWorker:
    """Checks the files of any tenant that wait in the lake, whichever process received them."""

    def __init__(
        self,
        lake: Lake,
        db: ControlDb,
        clock: Clock,
        metrics: Metrics,
        *,
        max_bytes: int,
        check: Check | None = None,
    ) -> None:
        """Start nothing yet. `check` works on a claimed job; without it, that is done in this process."""
        self._db = db
        self._metrics = metrics
        self._wake = Event()
        self._stop = Event()
        # Another name at every start: a process must not take the claim of its dead predecessor for its own.
        self._name = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._runner = JobRunner(lake, db, clock, name=self._name, max_bytes=max_bytes, stop=self._stop)
        self._check = check
        self._thread = Thread(target=self._loop, name="upload-worker", daemon=True)

    def start(self) -> None:
        """Begin to look for work."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work now: a file was just received."""
        self._wake.set()

    def stop(self) -> None:
        """Interrupt the check and put its job back into the queue; a check that does not listen is left behind."""
        self._stop.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS + 2)

    def run_next(self) -> bool:
        """Work on one job; tell whether there was one."""
        job = self._runner.claim()
        self.count()
        if job is None:
            return False
        started = perf_counter()
        try:
            done = self._run(job)
        except Exception as error:  # the edge: whatever a file does to the check, the job ends and the thread goes on
            self._note_failure(job, error)
            return True
        if done is None:
            return True
        seconds = perf_counter() - started
        self._metrics.upload_job(outcome=done.job.status, seconds=seconds)
        if done.report is not None and not job.validate_only and not done.report.already_stored:
            self._metrics.upload(job.tenant.value, done.report)
        self.count()
        _log.info(
            "upload_job",
            tenant=job.tenant.value,
            job_id=job.job_id,
            status=done.job.status.value,
            error_code=done.job.error_code,
            duration_ms=round(seconds * 1000),
        )
        return True

    def count(self) -> None:
        """Show in the metrics how many jobs there are."""
        self._metrics.upload_jobs(count_unfinished(self._db))

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                worked = self.run_next()
            except SQLAlchemyError as error:
                _log.error("control_db_unavailable", kind=type(error).__name__)
                worked = False
            if not worked and not self._stop.is_set():  # `stop` may have come before the `clear` above
                self._wake.wait(_POLL_SECONDS)

    def _run(self, job: UploadJob) -> FinishedJob | None:
        if self._check is None:
            return self._runner.run(job)
        return self._check(job, worker=self._name, stop=self._stop)

    def _note_failure(self, job: UploadJob, error: Exception) -> None:
        _log.error("upload_job_broke_off", tenant=job.tenant.value, job_id=job.job_id, exc_info=error)
        if not isinstance(error, OUTAGES):  # after an outage the runner has queued the job again
            self._runner.give_up(job)
