"""Jobs that erase a whole tenant: asked for now, begun when its time of grace is over."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.errors import ErasureNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.jobs import JobRow
from resources.jobs.model import Job, JobKind, JobStatus
from resources.jobs.store import insert_job, record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantErasure:
    """One request to erase a tenant. `result` holds what was found so far, and in the end the certificate."""

    id: str
    tenant: TenantId
    status: Literal["pending", "erasing", "completed", "undone"]
    requested_by: str
    requested_at: datetime
    result: dict[str, Any]

    @classmethod
    def of(cls, job: Job) -> TenantErasure:
        """Read a job of this kind."""
        status: Literal["pending", "erasing", "completed", "undone"] = "pending"
        if job.status is JobStatus.RUNNING or job.result:
            status = "erasing"
        if job.finished:
            status = "completed" if job.status is JobStatus.DONE else "undone"
        return cls(
            id=job.id,
            tenant=job.tenant,
            status=status,
            requested_by=job.input["by"],
            requested_at=job.created_at,
            result=dict(job.result),
        )


def queue_tenant_erasure(
    session: Session, tenant: TenantId, *, by: str, not_before: datetime, now: datetime
) -> TenantErasure:
    """Within a transaction: queue an erasure that nobody begins before a time."""
    job = Job(
        tenant=tenant,
        id=f"tenant-erasure-{secrets.token_hex(10)}",
        kind=JobKind.TENANT_ERASURE,
        input={"by": by},
        created_at=now,
        updated_at=now,
    )
    row = insert_job(session, job)
    row.not_before = not_before
    return TenantErasure.of(record_of(row))


def newest_tenant_erasure(db: ControlDb, tenant: TenantId) -> TenantErasure:
    """Return the newest request to erase the tenant.

    Raises:
        ErasureNotFound: nobody has asked for that.
    """
    of_tenant = (JobRow.tenant_id == tenant.value, JobRow.kind == JobKind.TENANT_ERASURE)
    newest = select(JobRow).where(*of_tenant).order_by(JobRow.created_at.desc(), JobRow.id).limit(1)
    with db.read() as session:
        row = session.scalars(newest).first()
        if row is None:
            raise ErasureNotFound(f"Nobody has asked to erase tenant {tenant}.")
        return TenantErasure.of(record_of(row))
