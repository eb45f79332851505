"""Training jobs in the control DB: the service writes them, a sensor starts them, their runs report here.

`queued` → `running` → `completed`, `failed` or `cancelled`. A tenant has one unfinished job at most.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resources.base.errors import Conflict, FieldProblem, TrainingJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables import TrainingJobRow
from resources.control_db.tenants import take_turns
from resources.tenants.training_request import JobKind, TrainingRequest

_MOMENT = timedelta(microseconds=1)


class JobStatus(StrEnum):
    """Where a job is; how far a running one is stands with its run (see `resources.training.progress`)."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One run that was asked for by API.

    `run_id` is there once the run has begun, `release_version` once it has written its release, and `deployed` says
    whether that went live. `message` says why a job failed or was cancelled, for a person.
    """

    id: str
    tenant: TenantId
    request: TrainingRequest
    estimated_seconds: float
    status: JobStatus
    cancel_requested: bool
    run_id: str | None
    release_version: str | None
    deployed: bool | None
    message: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNFINISHED

    @property
    def seconds(self) -> float | None:
        """How long its run took; None while it is not over, or when it never began."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def add_job(
    db: ControlDb,
    tenant: TenantId,
    request: TrainingRequest,
    *,
    estimated_seconds: float,
    now: datetime,
    key: WriteKey | None = None,
) -> TrainingJob:
    """Queue a job; with a key that came before, return the job that it made.

    Raises:
        Conflict: the tenant has an unfinished job (the message and the details name it), or the key came before with
            another request.
    """
    with db.write() as session:
        take_turns(session, tenant)
        earlier = earlier_answer(session, tenant, key)
        if earlier is not None:
            return _record(_row(session, tenant, earlier["job_id"]))
        unfinished = session.scalars(
            select(TrainingJobRow).where(
                TrainingJobRow.tenant_id == tenant.value, TrainingJobRow.status.in_(UNFINISHED)
            )
        ).first()
        if unfinished is not None:
            raise Conflict(
                f"Job {unfinished.id} of tenant {tenant} is {unfinished.status}, and a tenant has one at a time. Wait "
                f"until it has ended, or cancel it: DELETE /api/v1/training/{unfinished.id}",
                details=(FieldProblem("job_id", unfinished.id),),
            )
        newest = session.scalar(
            select(func.max(TrainingJobRow.created_at)).where(TrainingJobRow.tenant_id == tenant.value)
        )
        row = TrainingJobRow(
            id=f"job_{uuid.uuid4().hex[:20]}",
            tenant_id=tenant.value,
            kind=request.kind,
            model_type=request.model_type,
            hyperparameters=dict(request.hyperparameters),
            mode=request.mode,
            auto_deploy=request.auto_deploy,
            estimated_seconds=estimated_seconds,
            status=JobStatus.QUEUED,
            cancel_requested=False,
            # No two are of one age: lists have an order.
            created_at=now if newest is None else max(now, newest + _MOMENT),
        )
        session.add(row)
        remember_answer(session, tenant, key, {"job_id": row.id}, now=now)
        return _record(row)


def get_job(db: ControlDb, tenant: TenantId, job_id: str) -> TrainingJob:
    """Return the job.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    with db.read() as session:
        return _record(_row(session, tenant, job_id))


def list_jobs(
    db: ControlDb, tenant: TenantId, *, limit: int, before: datetime | None = None
) -> tuple[TrainingJob, ...]:
    """The tenant's jobs, newest first; with `before`, those made earlier than that."""
    statement = select(TrainingJobRow).where(TrainingJobRow.tenant_id == tenant.value)
    if before is not None:
        statement = statement.where(TrainingJobRow.created_at < before)
    with db.read() as session:
        return tuple(
            _record(row) for row in session.scalars(statement.order_by(TrainingJobRow.created_at.desc()).limit(limit))
        )


def list_unfinished_jobs(db: ControlDb) -> tuple[TrainingJob, ...]:
    """The unfinished jobs of all tenants, oldest first."""
    statement = select(TrainingJobRow).where(TrainingJobRow.status.in_(UNFINISHED))
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement.order_by(TrainingJobRow.created_at)))


def begin_job(db: ControlDb, tenant: TenantId, job_id: str, *, run_id: str, now: datetime) -> TrainingJob:
    """Note that the run of a queued job has begun; a finished one stays as it is, so that its run can see that.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    with db.write() as session:
        row = _row(session, tenant, job_id)
        if row.status == JobStatus.QUEUED:
            row.status, row.run_id, row.started_at = JobStatus.RUNNING, run_id, now
        return _record(row)


def ask_to_cancel(db: ControlDb, tenant: TenantId, job_id: str, *, now: datetime) -> TrainingJob:
    """End a queued job at once, and ask a running one to stop. Cancelling again changes nothing.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
        Conflict: it has completed or failed already.
    """
    with db.write() as session:
        row = _row(session, tenant, job_id)
        if row.status in (JobStatus.COMPLETED, JobStatus.FAILED):
            raise Conflict(f"Job {row.id} has {row.status} already, so there is nothing to cancel.")
        row.cancel_requested = True
        if row.status == JobStatus.QUEUED:
            _end(row, JobStatus.CANCELLED, "The job was cancelled before it began.", now)
        return _record(row)


def is_cancelled(db: ControlDb, job_id: str) -> bool:
    """Whether the run of this job should stop."""
    with db.read() as session:
        row = session.get(TrainingJobRow, job_id)
        return row is not None and row.cancel_requested


def note_release(db: ControlDb, tenant: TenantId, job_id: str, *, version: str, deployed: bool) -> None:
    """Note the release that the job's run has written, and whether it went live.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    with db.write() as session:
        row = _row(session, tenant, job_id)
        row.release_version, row.deployed = version, deployed


def end_job(db: ControlDb, job: TrainingJob, *, status: JobStatus, message: str | None, now: datetime) -> None:
    """Note how an unfinished job ended; a finished one stays as it is."""
    with db.write() as session:
        row = session.get(TrainingJobRow, job.id)
        if row is not None and row.status in UNFINISHED:
            _end(row, status, message, now)


def end_jobs_of_run(session: Session, run_id: str, *, status: str, message: str | None, now: datetime) -> None:
    """Within the transaction that notes the end of a run: end the job that the run is of, if it is of one."""
    statement = select(TrainingJobRow).where(TrainingJobRow.run_id == run_id, TrainingJobRow.status.in_(UNFINISHED))
    for row in session.scalars(statement):
        _end(row, JobStatus(status), message, now)


def _end(row: TrainingJobRow, status: JobStatus, message: str | None, now: datetime) -> None:
    if status is JobStatus.FAILED and row.cancel_requested:
        status = JobStatus.CANCELLED  # it was to end, and how it did is in the message
    row.status, row.message, row.ended_at = status, message, now


def _row(session: Session, tenant: TenantId, job_id: str) -> TrainingJobRow:
    row = session.get(TrainingJobRow, job_id)
    if row is None or row.tenant_id != tenant.value:
        raise TrainingJobNotFound(
            f"Tenant {tenant} has no training job {job_id[:60]!r}; GET /api/v1/training lists those that it has."
        )
    return row


def _record(row: TrainingJobRow) -> TrainingJob:
    hyperparameters: Mapping[str, JsonValue] = row.hyperparameters
    return TrainingJob(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        request=TrainingRequest(
            kind=JobKind(row.kind),
            model_type=row.model_type,  # type: ignore[arg-type]  # the column holds nothing else
            hyperparameters=hyperparameters,
            mode=row.mode,  # type: ignore[arg-type]
            auto_deploy=row.auto_deploy,
        ),
        estimated_seconds=row.estimated_seconds,
        status=JobStatus(row.status),
        cancel_requested=row.cancel_requested,
        run_id=row.run_id,
        release_version=row.release_version,
        deployed=row.deployed,
        message=row.message,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
