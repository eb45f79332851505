"""The threads that check large uploads."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import structlog

from bento_service.telemetry.metrics import Metrics
from bento_service.workers.job_worker import JobWorker
from resources.control_db.engine import ControlDb
from resources.control_db.upload_jobs import UploadJob, count_unfinished
from resources.jobs.claims import OUTAGES, Clock
from resources.storage.lake import Lake
from resources.uploads.jobs import FinishedJob, JobRunner

_log = structlog.get_logger("recsaas.uploads")


class UploadWorker(JobWorker[UploadJob, FinishedJob]):
    """Checks the files of any tenant that wait in the lake, whichever process received them."""

    def __init__(
        self,
        lake: Lake,
        db: ControlDb,
        clock: Clock,
        metrics: Metrics,
        *,
        max_bytes: int,
        processes: int = 1,
    ) -> None:
        """Start nothing yet.

        A check cannot be interrupted for somebody else's. So the `processes` of a service have two lanes together, or
        one each when they are more, and the files of one tenant take up all of them but one.
        """
        lanes = max(2, processes)
        super().__init__("upload", lanes=lanes // processes)
        self._db = db
        self._metrics = metrics
        self._runner = JobRunner(
            lake, db, clock, name=self.name, max_bytes=max_bytes, stop=self._stop, most_of_one=lanes - 1
        )

    def count(self) -> None:
        """Show in the metrics how many jobs there are."""
        self._metrics.upload_jobs(count_unfinished(self._db))

    def _claim(self) -> UploadJob | None:
        job = self._runner.claim()
        self.count()
        return job

    def _renew(self, job: UploadJob) -> bool:
        return self._runner.renew(job)

    def _work(self, job: UploadJob, interrupt: Event) -> FinishedJob | None:
        return replace(self._runner, stop=interrupt).run(job)

    def _finished(self, job: UploadJob, done: FinishedJob, seconds: float) -> None:
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

    def _broke_off(self, job: UploadJob, error: Exception, *, interrupted: bool) -> None:
        _log.error("upload_job_broke_off", tenant=job.tenant.value, job_id=job.job_id, exc_info=error)
        if interrupted:
            self._runner.put_back(job)
        elif isinstance(error, OUTAGES):
            self._runner.rest(job)
        else:
            self._runner.give_up(job)
