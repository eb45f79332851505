"""Export jobs: files with the recommendations of all users that were asked for."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.jobs import store
from resources.jobs.model import Job, JobKind, JobStatus


class ExportStatus(StrEnum):
    """Where an export stands, in the words of the API; `completed`, `failed` and `cancelled` are the ends."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExportFormat(StrEnum):
    """Format of the file; also its suffix."""

    CSV = "csv"
    PARQUET = "parquet"


UNFINISHED = (ExportStatus.QUEUED, ExportStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Input of an export job: `count` items for each user, with the rules of `scenario`."""

    count: int
    scenario: str | None
    format: ExportFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFigures:
    """The result of an export job, as far as it is. `bytes` is the size of the file, None while there is none."""

    release_version: str | None = None
    users_done: int = 0
    users_total: int | None = None
    rows: int | None = None
    bytes: int | None = None

    @property
    def share(self) -> float:
        """How far the export is, 0 to 1."""
        return self.users_done / self.users_total if self.users_total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationExport:
    """One export.

    `started_at` is when the process began that works on it or has done it. `figures.bytes` is None as well after the
    file was removed; `error_code` and `message` then say why.
    """

    tenant: TenantId
    id: str
    request: ExportRequest
    figures: ExportFigures
    created_at: datetime
    status: ExportStatus
    attempts: int
    rests: int
    error_code: str | None
    message: str | None
    started_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> RecommendationExport:
        """Read a job of this kind."""
        given = job.input
        return cls(
            tenant=job.tenant,
            id=job.id,
            request=ExportRequest(
                count=given["count"], scenario=given["scenario"], format=ExportFormat(given["format"])
            ),
            figures=ExportFigures(**job.result),
            created_at=job.created_at,
            status=ExportStatus.COMPLETED if job.status is JobStatus.DONE else ExportStatus(job.status.value),
            attempts=job.attempts,
            rests=job.rests,
            error_code=None if job.error is None else job.error.code,
            message=None if job.error is None else job.error.message,
            started_at=job.started_at,
            completed_at=job.ended_at,
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.status not in UNFINISHED


def add_export(
    db: ControlDb,
    tenant: TenantId,
    request: ExportRequest,
    *,
    now: datetime,
    key: WriteKey | None = None,
    by: Actor = SYSTEM,
) -> RecommendationExport:
    """Queue an export; with a key that came before, return the export that it made.

    Raises:
        Conflict: another export of the tenant is in progress, or the key came before with another request.
        ExportNotFound: the export that the key made was removed.
    """
    job = Job(
        tenant=tenant,
        id=f"export-{secrets.token_hex(10)}",
        kind=JobKind.EXPORT,
        input=asdict(request),
        created_at=now,
        updated_at=now,
    )
    return RecommendationExport.of(store.add_job(db, job, refused=_one_at_a_time, key=key, by=by))


def get_export(db: ControlDb, tenant: TenantId, export_id: str) -> RecommendationExport:
    """Return the export.

    Raises:
        ExportNotFound: the tenant has no export with this id.
    """
    return RecommendationExport.of(store.get_job(db, tenant, JobKind.EXPORT, export_id))


def list_exports(
    db: ControlDb, tenant: TenantId, *, limit: int, before: datetime | None = None
) -> tuple[RecommendationExport, ...]:
    """Up to `limit` exports of the tenant, newest first; those asked for earlier than `before`, if it is given."""
    found = store.list_jobs(db, tenant, (JobKind.EXPORT,), before=before, limit=limit)
    return tuple(RecommendationExport.of(job) for job in found)


def note_file_gone(db: ControlDb, tenant: TenantId, export_id: str, *, code: str, message: str) -> None:
    """Note that a finished export, of lists or of the whole tenant, has no file any more, and why."""
    with db.write() as session:
        row = store.row_to_change(session, tenant, export_id)
        if row is not None and row.kind in (JobKind.EXPORT, JobKind.TENANT_EXPORT):
            row.result, row.error = {**row.result, "bytes": None}, {"code": code, "message": message}


def forget_export(db: ControlDb, export: RecommendationExport, *, now: datetime, by: Actor) -> None:
    """Remove a finished export; an unfinished one stays."""
    with db.write() as session:
        if store.forget_row(session, export.tenant, export.id):
            before = {"status": export.status, "bytes": export.figures.bytes}
            removed = Change(
                action="recommendation_export.remove", object_kind="job", object_id=export.id, before=before
            )
            record(session, by, removed, tenant=export.tenant, now=now)


def record_download(db: ControlDb, export: RecommendationExport, *, now: datetime, by: Actor) -> None:
    """Record that the file of an export, which names every user, is read."""
    read = Change(action="recommendation_export.read", object_kind="job", object_id=export.id)
    with db.write() as session:
        record(session, by, read, tenant=export.tenant, now=now)


def _one_at_a_time(unfinished: Job, _count: int) -> RecsaasError:
    return Conflict(
        f"Export {unfinished.id} of tenant {unfinished.tenant} is in progress, and one at a time may be. Wait for its "
        "end, or cancel it."
    )
