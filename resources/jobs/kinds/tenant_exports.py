"""Jobs that write the archive of a whole tenant."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.control_db.tenants import named
from resources.jobs import store
from resources.jobs.kinds.exports import ExportStatus
from resources.jobs.model import Job, JobKind, JobStatus

ARCHIVE_SUFFIX = ".tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantExport:
    """One archive that was asked for. `bytes` and `sha256` are of the file, None while or once there is none."""

    tenant: TenantId
    id: str
    requested_by: str
    status: ExportStatus
    progress: float
    bytes: int | None
    sha256: str | None
    rows: int | None
    uploads: int | None
    releases: int | None
    created_at: datetime
    completed_at: datetime | None
    error_code: str | None
    message: str | None

    @classmethod
    def of(cls, job: Job) -> TenantExport:
        """Read a job of this kind."""
        result: dict[str, Any] = dict(job.result)
        return cls(
            tenant=job.tenant,
            id=job.id,
            requested_by=job.input["by"],
            status=ExportStatus.COMPLETED if job.status is JobStatus.DONE else ExportStatus(job.status.value),
            progress=job.progress,
            bytes=result.get("bytes"),
            sha256=result.get("sha256"),
            rows=result.get("rows"),
            uploads=result.get("uploads"),
            releases=result.get("releases"),
            created_at=job.created_at,
            completed_at=job.ended_at,
            error_code=None if job.error is None else job.error.code,
            message=None if job.error is None else job.error.message,
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.status not in (ExportStatus.QUEUED, ExportStatus.RUNNING)


def add_tenant_export(
    db: ControlDb, tenant: TenantId, *, by: Actor, now: datetime, key: WriteKey | None = None
) -> TenantExport:
    """Queue an archive; with a key that came before, return the one that it made.

    Raises:
        Conflict: another one of the tenant is in progress, or the key came before with another request.
        ExportNotFound: the one that the key made was removed.
    """
    job = Job(
        tenant=tenant,
        id=f"archive-{secrets.token_hex(10)}",
        kind=JobKind.TENANT_EXPORT,
        input={"by": named(by)},
        created_at=now,
        updated_at=now,
    )
    return TenantExport.of(store.add_job(db, job, refused=_one_at_a_time, key=key, by=by))


def get_tenant_export(db: ControlDb, tenant: TenantId, export_id: str) -> TenantExport:
    """Return an archive that was asked for.

    Raises:
        ExportNotFound: the tenant has none with this id.
    """
    return TenantExport.of(store.get_job(db, tenant, JobKind.TENANT_EXPORT, export_id))


def list_tenant_exports(
    db: ControlDb, tenant: TenantId, *, limit: int, before: datetime | None = None
) -> tuple[TenantExport, ...]:
    """Up to `limit` of the tenant's, newest first; those asked for earlier than `before`, if it is given."""
    found = store.list_jobs(db, tenant, (JobKind.TENANT_EXPORT,), before=before, limit=limit)
    return tuple(TenantExport.of(job) for job in found)


def record_archive_read(db: ControlDb, export: TenantExport, *, now: datetime, by: Actor) -> None:
    """Record that the archive, in which everything of the tenant is, is read."""
    read = Change(action="tenant.export_read", object_kind="job", object_id=export.id)
    with db.write() as session:
        record(session, by, read, tenant=export.tenant, now=now)


def _one_at_a_time(unfinished: Job, _count: int) -> RecsaasError:
    return Conflict(f"The archive {unfinished.id} of tenant {unfinished.tenant} is in progress; wait for its end.")
