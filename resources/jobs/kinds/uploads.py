"""Upload jobs: files that were received and are checked after they were acknowledged; their bytes are in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from resources.access.actor import SYSTEM, Actor
from resources.base.errors import RecsaasError, TooManyRequests
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.jobs import store
from resources.jobs.claims import LEASE
from resources.jobs.model import Job, JobKind, JobStatus


class UploadJobStatus(StrEnum):
    """Where an upload job stands, in the words of the API.

    `checked` is the good end of a job that stores nothing; `refused` means that the file cannot be read at all.
    """

    QUEUED = "queued"
    CHECKING = "checking"
    STORED = "stored"
    CHECKED = "checked"
    REFUSED = "refused"
    FAILED = "failed"


UNFINISHED = (UploadJobStatus.QUEUED, UploadJobStatus.CHECKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedUpload:
    """The input of an upload job: a file of a kind, as it was received.

    `source` says how it came, `sha256` is of its bytes, and with `validate_only` nothing is stored. `mapping` came with
    the file and says how it is read. `by` is who sent it.
    """

    kind: str
    filename: str
    source: str
    sha256: str
    validate_only: bool
    bytes_total: int
    mapping: Mapping[str, Any] | None = None
    by: Actor = SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadJob:
    """One received file that is checked after it was acknowledged.

    `created_at` is the time of acknowledgement and names the file in the lake. `report` is kept only where nothing is
    stored.
    """

    tenant: TenantId
    job_id: str
    received: ReceivedUpload
    created_at: datetime
    updated_at: datetime
    status: UploadJobStatus
    attempts: int
    rests: int
    bytes_done: int
    upload_id: str | None
    error_code: str | None
    message: str | None
    report: Mapping[str, Any] | None

    @classmethod
    def of(cls, job: Job) -> UploadJob:
        """Read a job of this kind."""
        cancelled = job.status is JobStatus.CANCELLED
        return cls(
            tenant=job.tenant,
            job_id=job.id,
            received=_received(job.input),
            created_at=job.created_at,
            updated_at=job.updated_at,
            status=_status(job),
            attempts=job.attempts,
            rests=job.rests,
            bytes_done=job.result.get("bytes_done", 0),
            upload_id=job.result.get("upload_id"),
            error_code="cancelled" if cancelled else None if job.error is None else job.error.code,
            message="The job was cancelled." if cancelled else None if job.error is None else job.error.message,
            report=job.result.get("report"),
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNFINISHED


def get_upload_job(db: ControlDb, tenant: TenantId, job_id: str) -> UploadJob:
    """Return the job.

    Raises:
        UploadJobNotFound: the tenant has no job with this id.
    """
    return UploadJob.of(store.get_job(db, tenant, JobKind.UPLOAD, job_id))


def list_unfinished_uploads(db: ControlDb, tenant: TenantId) -> tuple[UploadJob, ...]:
    """The tenant's jobs that are not finished, oldest first."""
    return tuple(UploadJob.of(job) for job in store.list_unfinished(db, JobKind.UPLOAD, tenant))


def may_be_checked(db: ControlDb, tenant: TenantId, *, now: datetime) -> bool:
    """Whether a received file of the tenant is still to be checked, or its check was cancelled a moment ago.

    The process that checks it notices that a little later, and may store the file until then.
    """
    if store.list_unfinished(db, JobKind.UPLOAD, tenant):
        return True
    cancelled = store.list_jobs(db, tenant, (JobKind.UPLOAD,), statuses=(JobStatus.CANCELLED,))
    return any(job.started_at and job.ended_at and job.ended_at > now - LEASE for job in cancelled)


def too_many_uploads(unfinished: Job, count: int) -> RecsaasError:
    """The refusal of one job too many."""
    return TooManyRequests(
        f"{count} large uploads of tenant {unfinished.tenant} wait to be checked, and no more may. "
        "Send this one again when some of them are done."
    )


def _received(given: Mapping[str, Any]) -> ReceivedUpload:
    by = given.get("by")  # a job of an earlier version does not say
    return ReceivedUpload(**{**given, "by": SYSTEM if by is None else Actor(**by)})


def _status(job: Job) -> UploadJobStatus:
    """Jobs of this kind note in their result how they ended."""
    if job.status is JobStatus.QUEUED:
        return UploadJobStatus.QUEUED
    if job.status is JobStatus.RUNNING:
        return UploadJobStatus.CHECKING
    if job.status is JobStatus.CANCELLED:
        return UploadJobStatus.FAILED
    return UploadJobStatus(job.result.get("outcome", UploadJobStatus.FAILED))
