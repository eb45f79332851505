"""Upload jobs in the control DB: the commit here acknowledges a large file; one process at a time holds its claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select

from resources.base.errors import TooManyRequests, UploadJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.job_queue import JobQueue
from resources.control_db.tables import UploadJobRow
from resources.control_db.tenants import take_turns


class JobStatus(StrEnum):
    """`checked` is the good end of a job that stores nothing; `refused` means that the file cannot be read at all."""

    QUEUED = "queued"
    CHECKING = "checking"
    STORED = "stored"
    CHECKED = "checked"
    REFUSED = "refused"
    FAILED = "failed"


UNFINISHED = (JobStatus.QUEUED, JobStatus.CHECKING)
_QUEUE = JobQueue(UploadJobRow, *UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadJob:
    """One received file that is checked after it was acknowledged.

    `created_at` is the time of acknowledgement and names the file in the lake. `attempts` counts the processes that
    began the check and did not end it, `rests` how often an outage or an error has put it back. `report` is kept only
    where nothing is stored.
    """

    tenant: TenantId
    job_id: str
    kind: str
    filename: str
    source: str
    sha256: str
    validate_only: bool
    bytes_total: int
    created_at: datetime
    updated_at: datetime
    bytes_done: int = 0
    status: JobStatus = JobStatus.QUEUED
    attempts: int = 0
    rests: int = 0
    upload_id: str | None = None
    error_code: str | None = None
    message: str | None = None
    report: Mapping[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNFINISHED


def enqueue_job(db: ControlDb, job: UploadJob, *, most: int) -> UploadJob:
    """Store a queued job; one with its id that is not finished stays as it is and is returned instead.

    Raises:
        TooManyRequests: the tenant has `most` unfinished jobs.
    """
    with db.write() as session:
        take_turns(session, job.tenant)
        row = session.get(UploadJobRow, (job.tenant.value, job.job_id))
        if row is not None and row.status in UNFINISHED:
            return _record(row)
        waiting = session.scalar(
            select(func.count())
            .select_from(UploadJobRow)
            .where(UploadJobRow.tenant_id == job.tenant.value, UploadJobRow.status.in_(UNFINISHED))
        )
        if waiting is not None and waiting >= most:
            raise TooManyRequests(
                f"{waiting} large uploads of tenant {job.tenant} wait to be checked, and no more may. "
                "Send this one again when some of them are done."
            )
        session.merge(_row(job))
    return job


def get_job(db: ControlDb, tenant: TenantId, job_id: str) -> UploadJob:
    """Return the job.

    Raises:
        UploadJobNotFound: the tenant has no job with this id.
    """
    with db.read() as session:
        row = session.get(UploadJobRow, (tenant.value, job_id))
    if row is None:
        raise UploadJobNotFound(
            f"Tenant {tenant} has no upload job {job_id[:80]!r}; finished ones are forgotten after some days, "
            "and the list of uploads shows what is stored."
        )
    return _record(row)


def claim_job(
    db: ControlDb, *, worker: str, now: datetime, until: datetime, most_of_one: int | None = None
) -> UploadJob | None:
    """Give `worker` the next job until `until`; None when nothing waits. Tenants take turns.

    A tenant of whom `most_of_one` files are being checked has to wait.
    """
    noted = {"bytes_done": 0}
    key = _QUEUE.claim(db, worker=worker, now=now, until=until, noted=noted, most_of_one=most_of_one)
    return None if key is None else get_job(db, *key)


def renew_claim(db: ControlDb, job: UploadJob, *, worker: str, now: datetime, until: datetime) -> bool:
    """Keep the claim; False when another worker has it now."""
    return _QUEUE.renew(db, job.tenant, job.job_id, worker=worker, now=now, until=until)


def note_progress(db: ControlDb, job: UploadJob, *, worker: str, bytes_done: int, now: datetime) -> bool:
    """Note how far the check is; False when another worker has the claim now."""
    return _QUEUE.note(db, job.tenant, job.job_id, worker=worker, now=now, noted={"bytes_done": bytes_done})


def finish_job(db: ControlDb, job: UploadJob, *, worker: str, now: datetime) -> bool:
    """Store the outcome that `job` carries; False when another worker has the claim now."""
    noted = {
        "status": job.status,
        "bytes_done": job.bytes_done,
        "upload_id": job.upload_id,
        "error_code": job.error_code,
        "message": job.message,
        "report": job.report,
    }
    return _QUEUE.end(db, job.tenant, job.job_id, worker=worker, now=now, noted=noted)


def release_claim(
    db: ControlDb, job: UploadJob, *, worker: str, attempts: int, rests: int, now: datetime, not_before: datetime
) -> None:
    """Queue the job again, to be claimed from `not_before` on."""
    counts = {"attempts": attempts, "rests": rests}
    _QUEUE.put_back(db, job.tenant, job.job_id, worker=worker, now=now, not_before=not_before, **counts)


def count_unfinished(db: ControlDb) -> Mapping[JobStatus, int]:
    """How many jobs of all tenants wait, and how many are being checked."""
    statement = (
        select(UploadJobRow.status, func.count())
        .where(UploadJobRow.status.in_(UNFINISHED))
        .group_by(UploadJobRow.status)
    )
    with db.read() as session:
        found = {JobStatus(status): count for status, count in session.execute(statement)}
    return {status: found.get(status, 0) for status in UNFINISHED}


def list_unfinished(db: ControlDb, tenant: TenantId) -> tuple[UploadJob, ...]:
    """The tenant's jobs that are not finished, oldest first."""
    statement = (
        select(UploadJobRow)
        .where(UploadJobRow.tenant_id == tenant.value, UploadJobRow.status.in_(UNFINISHED))
        .order_by(UploadJobRow.created_at)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def forget_finished(db: ControlDb, tenant: TenantId, *, before: datetime) -> None:
    """Remove the tenant's jobs that were finished before a time."""
    statement = delete(UploadJobRow).where(
        UploadJobRow.tenant_id == tenant.value,
        UploadJobRow.status.not_in(UNFINISHED),
        UploadJobRow.updated_at < before,
    )
    with db.write() as session:
        session.execute(statement)


def _row(job: UploadJob) -> UploadJobRow:
    return UploadJobRow(
        tenant_id=job.tenant.value,
        job_id=job.job_id,
        kind=job.kind,
        filename=job.filename,
        source=job.source,
        sha256=job.sha256,
        validate_only=job.validate_only,
        bytes_total=job.bytes_total,
        bytes_done=job.bytes_done,
        status=job.status,
        attempts=job.attempts,
        rests=job.rests,
        upload_id=job.upload_id,
        error_code=job.error_code,
        message=job.message,
        report=job.report,
        claimed_by=None,
        claimed_until=None,
        created_at=job.created_at,
        updated_at=job.updated_at,
    )


def _record(row: UploadJobRow) -> UploadJob:
    return UploadJob(
        tenant=TenantId(row.tenant_id),
        job_id=row.job_id,
        kind=row.kind,
        filename=row.filename,
        source=row.source,
        sha256=row.sha256,
        validate_only=row.validate_only,
        bytes_total=row.bytes_total,
        bytes_done=row.bytes_done,
        status=JobStatus(row.status),
        attempts=row.attempts,
        rests=row.rests,
        upload_id=row.upload_id,
        error_code=row.error_code,
        message=row.message,
        report=row.report,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
