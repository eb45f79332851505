"""The thread that writes exports of the recommendations of all users, and removes old ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Protocol

import structlog

from bento_service.workers.job_worker import JobWorker
from resources.control_db.engine import ControlDb
from resources.control_db.recommendation_exports import RecommendationExport
from resources.jobs.claims import OUTAGES, Clock
from resources.recommendations.exports import ExportRunner, remove_old_exports
from resources.storage.lake import Lake

_TIDY_SECONDS = 600.0
_log = structlog.get_logger("recsaas.exports")


class WriteExport(Protocol):
    """Works on an export that `worker` has claimed; None when it is not finished by this."""

    def __call__(self, export: RecommendationExport, *, worker: str, stop: Event) -> RecommendationExport | None: ...


class ExportWorker(JobWorker[RecommendationExport, RecommendationExport]):
    """Writes the exports of any tenant that were asked for, whichever process was asked."""

    def __init__(
        self, lake: Lake, db: ControlDb, clock: Clock, *, keep_days: int, write: WriteExport | None = None
    ) -> None:
        """Start nothing yet. `write` works on a claimed export; without it, that is done in this process."""
        super().__init__("export")
        self._lake = lake
        self._db = db
        self._clock = clock
        self._keep = timedelta(days=keep_days)
        self._runner = ExportRunner(lake, db, clock, self.name, self._stop)
        self._write = write
        self._tidied_at: float | None = None

    def tidy(self) -> int:
        """Remove exports that were kept for long enough, and return how many."""
        return remove_old_exports(self._lake, self._db, before=self._clock() - self._keep)

    def _claim(self) -> RecommendationExport | None:
        return self._runner.claim()

    def _renew(self, job: RecommendationExport) -> bool:
        return self._runner.renew(job)

    def _work(self, job: RecommendationExport, interrupt: Event) -> RecommendationExport | None:
        if self._write is None:
            return replace(self._runner, stop=interrupt).run(job)
        return self._write(job, worker=self.name, stop=interrupt)

    def _finished(self, job: RecommendationExport, done: RecommendationExport, seconds: float) -> None:
        _log.info(
            "recommendation_export",
            tenant=job.tenant.value,
            export_id=job.id,
            status=done.status.value,
            error_code=done.error_code,
            users=done.users_total,
            rows=done.rows,
            duration_ms=round(seconds * 1000),
        )

    def _broke_off(self, job: RecommendationExport, error: Exception, *, interrupted: bool) -> None:
        _log.error("recommendation_export_broke_off", tenant=job.tenant.value, export_id=job.id, exc_info=error)
        if interrupted:
            self._runner.put_back(job)
        elif isinstance(error, OUTAGES):
            self._runner.rest(job)
        else:
            self._runner.give_up(job)

    def _rest(self) -> None:
        if self._tidied_at is None or monotonic() - self._tidied_at >= _TIDY_SECONDS:
            self._tidied_at = monotonic()
            self.tidy()
