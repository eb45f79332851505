"""The jobs that the service works on itself: checks of large uploads, exports of recommendations and whole tenants."""

from __future__ import annotations

from datetime import timedelta

import structlog

from bento_service.telemetry.metrics import Metrics
from bento_service.workers.job_worker import JobWorker, RunJob, WorkedKind
from resources.audit.keeping.daily import AuditKeeper
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.daily import once_a_day
from resources.jobs.kinds.uploads import UploadJobStatus
from resources.jobs.model import Job, JobKind, Outcome
from resources.jobs.store import count_unfinished
from resources.recommendations.exports import ExportWriter, remove_old_exports
from resources.sessions.tidying import AccountsKeeper
from resources.storage.lake import Lake
from resources.tenancy.exports import ArchiveWriter, remove_old_archives
from resources.uploads.jobs import UploadChecker, UploadOutcome
from resources.webhooks.endpoints.deliveries import forget_old

_uploads = structlog.get_logger("recsaas.uploads")
_exports = structlog.get_logger("recsaas.exports")


def service_worker(
    settings: Settings,
    lake: Lake,
    db: ControlDb,
    clock: Clock,
    metrics: Metrics,
    *,
    run_export: RunJob | None = None,
) -> JobWorker:
    """The worker of a service, not started. `run_export` says where exports are written; None: in this process.

    A check cannot be interrupted for somebody else's. So the processes of a service have two lanes for uploads
    together, or one each when they are more, and the files of one tenant take up all of them but one.
    """
    lanes = max(2, settings.service_workers)
    keepers = (
        AccountsKeeper(db, clock).keep,
        AuditKeeper(db, lake, settings, clock).keep,
        lambda: once_a_day(db, "webhooks", clock(), lambda: forget_old(db, now=clock())),
    )
    kinds = {
        JobKind.UPLOAD: WorkedKind(
            handler=UploadChecker(lake, db, settings.max_upload_bytes),
            at_once=lanes // settings.service_workers,
            most_of_one=lanes - 1,
            tell=lambda job, outcome, seconds: _tell_upload(metrics, job, outcome, seconds),
            tidy=lambda: [keep() for keep in keepers],
        ),
        JobKind.EXPORT: WorkedKind(
            handler=ExportWriter(lake, db, clock),
            at_once=1,
            run=run_export,
            tell=_tell_export,
            tidy=lambda: remove_old_exports(lake, db, before=clock() - timedelta(days=settings.export_days)),
        ),
        JobKind.TENANT_EXPORT: WorkedKind(
            handler=ArchiveWriter(lake, db, clock, settings.home),
            at_once=1,
            tell=_tell_archive,
            tidy=lambda: remove_old_archives(lake, db, before=clock() - timedelta(days=settings.export_days)),
        ),
    }
    return JobWorker(db, clock, kinds, count=lambda: metrics.upload_jobs(count_unfinished(db, JobKind.UPLOAD)))


def _tell_upload(metrics: Metrics, job: Job, outcome: Outcome, seconds: float) -> None:
    status = UploadJobStatus(outcome.result["outcome"])
    metrics.upload_job(outcome=status, seconds=seconds)
    report = outcome.report if isinstance(outcome, UploadOutcome) else None
    if report is not None and not report.validate_only and not report.already_stored:
        metrics.upload(job.tenant.value, report)
    _uploads.info(
        "upload_job",
        tenant=job.tenant.value,
        job_id=job.id,
        status=status.value,
        error_code=None if outcome.error is None else outcome.error.code,
        duration_ms=round(seconds * 1000),
    )


def _tell_export(job: Job, outcome: Outcome, seconds: float) -> None:
    _exports.info(
        "recommendation_export",
        tenant=job.tenant.value,
        export_id=job.id,
        status="completed" if outcome.error is None else outcome.status.value,
        error_code=None if outcome.error is None else outcome.error.code,
        users=outcome.result.get("users_total"),
        rows=outcome.result.get("rows"),
        duration_ms=round(seconds * 1000),
    )


def _tell_archive(job: Job, outcome: Outcome, seconds: float) -> None:
    _exports.info(
        "tenant_export",
        tenant=job.tenant.value,
        export_id=job.id,
        status="completed" if outcome.error is None else outcome.status.value,
        error_code=None if outcome.error is None else outcome.error.code,
        rows=outcome.result.get("rows"),
        bytes=outcome.result.get("bytes"),
        duration_ms=round(seconds * 1000),
    )
