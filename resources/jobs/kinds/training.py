"""Training jobs: runs that were asked for by API. The service adds them, a sensor starts them, their runs report here.

A tenant has one unfinished job at most.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.base.errors import Conflict, FieldProblem, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.control_db.tables.jobs import JobRow
from resources.jobs import store
from resources.jobs.model import UNFINISHED, Job, JobError, JobKind, JobStatus, Outcome
from resources.tenants.training_request import TrainingKind, TrainingRequest


class TrainingStatus(StrEnum):
    """Where a training job is; how far a running one is stands with its run (see `resources.training.progress`)."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
    status: TrainingStatus
    cancel_requested: bool
    run_id: str | None
    release_version: str | None
    deployed: bool | None
    message: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> TrainingJob:
        """Read a job of this kind."""
        given = job.input
        return cls(
            id=job.id,
            tenant=job.tenant,
            request=TrainingRequest(
                kind=TrainingKind(given["kind"]),
                model_type=given["model_type"],
                hyperparameters=given["hyperparameters"],
                mode=given["mode"],
                auto_deploy=given["auto_deploy"],
            ),
            estimated_seconds=given["estimated_seconds"],
            status=TrainingStatus.COMPLETED if job.status is JobStatus.DONE else TrainingStatus(job.status.value),
            cancel_requested=job.cancel_requested,
            run_id=job.run_id,
            release_version=job.result.get("release_version"),
            deployed=job.result.get("deployed"),
            message=_message(job),
            created_at=job.created_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
        )

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in (TrainingStatus.QUEUED, TrainingStatus.RUNNING)

    @property
    def seconds(self) -> float | None:
        """How long its run took; None while it is not over, or when it never began."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def add_training_job(
    db: ControlDb,
    tenant: TenantId,
    request: TrainingRequest,
    *,
    estimated_seconds: float,
    now: datetime,
    key: WriteKey | None = None,
    by: Actor = SYSTEM,
) -> TrainingJob:
    """Queue a job; with a key that came before, return the job that it made.

    Raises:
        Conflict: the tenant has an unfinished job (the message and the details name it), or the key came before with
            another request.
    """
    job = Job(
        tenant=tenant,
        id=f"job_{uuid.uuid4().hex[:20]}",
        kind=JobKind.TRAINING,
        subject=request.kind,
        input={
            "kind": request.kind,
            "model_type": request.model_type,
            "hyperparameters": dict(request.hyperparameters),
            "mode": request.mode,
            "auto_deploy": request.auto_deploy,
            "estimated_seconds": estimated_seconds,
        },
        created_at=now,
        updated_at=now,
    )
    return TrainingJob.of(store.add_job(db, job, refused=_one_at_a_time, key=key, by=by))


def get_training_job(db: ControlDb, tenant: TenantId, job_id: str) -> TrainingJob:
    """Return the job.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    return TrainingJob.of(store.get_job(db, tenant, JobKind.TRAINING, job_id))


def list_training_jobs(
    db: ControlDb, tenant: TenantId, *, limit: int, before: datetime | None = None
) -> tuple[TrainingJob, ...]:
    """The tenant's jobs, newest first; with `before`, those made earlier than that."""
    found = store.list_jobs(db, tenant, (JobKind.TRAINING,), before=before, limit=limit)
    return tuple(TrainingJob.of(job) for job in found)


def list_unfinished_training(db: ControlDb) -> tuple[TrainingJob, ...]:
    """The unfinished jobs of all tenants, oldest first."""
    return tuple(TrainingJob.of(job) for job in store.list_unfinished(db, JobKind.TRAINING))


def begin_training_job(db: ControlDb, tenant: TenantId, job_id: str, *, run_id: str, now: datetime) -> TrainingJob:
    """Note that the run of a queued job has begun; a finished one stays as it is, so that its run can see that.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    with db.write() as session:
        row = store.row_of(session, tenant, JobKind.TRAINING, job_id, change=True)
        if row.status == JobStatus.QUEUED:
            row.status, row.run_id, row.started_at, row.updated_at = JobStatus.RUNNING, run_id, now, now
            row.attempts += 1
        return TrainingJob.of(store.record_of(row))


def ask_to_cancel(db: ControlDb, tenant: TenantId, job_id: str, *, now: datetime, by: Actor = SYSTEM) -> TrainingJob:
    """End a queued job at once, and ask a running one to stop. Cancelling again changes nothing.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
        Conflict: it has completed or failed already.
    """
    return TrainingJob.of(store.cancel_job(db, tenant, JobKind.TRAINING, job_id, now=now, by=by))


def is_cancelled(db: ControlDb, tenant: TenantId, job_id: str) -> bool:
    """Whether the run of this job should stop."""
    job = store.find_job(db, tenant, job_id)
    return job is not None and job.cancel_requested


def note_release(db: ControlDb, tenant: TenantId, job_id: str, *, version: str, deployed: bool) -> None:
    """Note the release that the job's run has written, and whether it went live.

    Raises:
        TrainingJobNotFound: the tenant has no such job.
    """
    with db.write() as session:
        row = store.row_of(session, tenant, JobKind.TRAINING, job_id, change=True)
        row.result = {**row.result, "release_version": version, "deployed": deployed}


def end_training_job(
    db: ControlDb, job: TrainingJob, *, status: TrainingStatus, message: str | None, now: datetime
) -> None:
    """Note how an unfinished job ended; a finished one stays as it is."""
    with db.write() as session:
        row = store.row_to_change(session, job.tenant, job.id)
        if row is not None and row.status in UNFINISHED:
            _end(row, status, message, now)


def end_jobs_of_run(session: Session, run_id: str, *, status: str, message: str | None, now: datetime) -> None:
    """Within the transaction that notes the end of a run: end the job that the run is of, if it is of one."""
    statement = select(JobRow).where(is_training_of(run_id), JobRow.status.in_(UNFINISHED)).with_for_update()
    for row in session.scalars(statement):
        _end(row, TrainingStatus(status), message, now)


def is_training_of(run_id: object) -> ColumnElement[bool]:
    """Condition: a row of the table of jobs asks for this run; `run_id` is an id or a column."""
    return and_(JobRow.run_id == run_id, JobRow.kind == JobKind.TRAINING)


def _end(row: JobRow, status: TrainingStatus, message: str | None, now: datetime) -> None:
    if status is TrainingStatus.FAILED and row.cancel_requested:
        status = TrainingStatus.CANCELLED  # it was to end, and how it did is in the message
    ended = JobStatus.DONE if status is TrainingStatus.COMPLETED else JobStatus(status.value)
    error = None if message is None else JobError(status.value, message)
    store.end_row(row, Outcome(status=ended, result=row.result, error=error), now=now)


def _message(job: Job) -> str | None:
    if job.error is not None:
        return job.error.message
    if job.status is JobStatus.CANCELLED and job.run_id is None:
        return "The job was cancelled before it began."
    return None


def _one_at_a_time(unfinished: Job, _count: int) -> RecsaasError:
    return Conflict(
        f"Job {unfinished.id} of tenant {unfinished.tenant} is {unfinished.status}, and a tenant has one at a time. "
        f"Wait until it has ended, or cancel it: DELETE /api/v1/training/{unfinished.id}",
        details=(FieldProblem("job_id", unfinished.id),),
    )
