"""The thread that checks large uploads."""

from __future__ import annotations

import structlog

from bento_service.job_worker import JobWorker
from bento_service.metrics import Metrics
from resources.claims import OUTAGES, Clock
from resources.control_db.engine import ControlDb
from resources.control_db.upload_jobs import UploadJob, count_unfinished
from resources.lake import Lake
from resources.upload_jobs import FinishedJob, JobRunner

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
    ) -> None:
        """Start nothing yet."""
        super().__init__("upload")
        self._db = db
        self._metrics = metrics
        self._runner = JobRunner(lake, db, clock, name=self.name, max_bytes=max_bytes, stop=self._stop)

    def count(self) -> None:
        """Show in the metrics how many jobs there are."""
        self._metrics.upload_jobs(count_unfinished(self._db))

    def _claim(self) -> UploadJob | None:
        job = self._runner.claim()
        self.count()
        return job

    def _work(self, job: UploadJob) -> FinishedJob | None:
        return self._runner.run(job)

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

    def _broke_off(self, job: UploadJob, error: Exception) -> None:
        _log.error("upload_job_broke_off", tenant=job.tenant.value, job_id=job.job_id, exc_info=error)
        if not isinstance(error, OUTAGES):  # after an outage the runner has queued the job again
            self._runner.give_up(job)
