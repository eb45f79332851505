"""The table of jobs: adding, showing, cancelling and forgetting them. Who works on one is for `queue`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import (
    Conflict,
    ErasureNotFound,
    ExportNotFound,
    NotFound,
    RecsaasError,
    TrainingJobNotFound,
    UploadJobNotFound,
)
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.jobs import JobRow
from resources.control_db.tables.tenants import take_turns
from resources.jobs.model import UNFINISHED, Job, JobError, JobKind, JobStatus, Outcome
from resources.jobs.registry import POLICIES

RefusalOf = Callable[[Job, int], RecsaasError]
"""The error for a job too many, from the oldest unfinished one and how many there are."""
_MOMENT = timedelta(microseconds=1)
_MISSING: Mapping[JobKind, tuple[type[NotFound], str]] = MappingProxyType(
    {
        JobKind.UPLOAD: (
            UploadJobNotFound,
            "Tenant {tenant} has no upload job {id!r}; finished ones are forgotten after some days, and the list of "
            "uploads shows what is stored.",
        ),
        JobKind.EXPORT: (
            ExportNotFound,
            "Tenant {tenant} has no export {id!r}; finished ones are removed after some days. List the exports to see "
            "which there are, or ask for a new one.",
        ),
        JobKind.TRAINING: (
            TrainingJobNotFound,
            "Tenant {tenant} has no training job {id!r}; GET /api/v1/training lists those that it has.",
        ),
        JobKind.ERASURE: (ErasureNotFound, "Tenant {tenant} has no erasure {id!r}; check the id."),
        JobKind.TENANT_EXPORT: (
            ExportNotFound,
            "Tenant {tenant} has no archive {id!r}; finished ones are removed after some days. Ask for a new one.",
        ),
        JobKind.TENANT_ERASURE: (ErasureNotFound, "Tenant {tenant} has no erasure of all of it {id!r}; check the id."),
    }
)


def add_job(db: ControlDb, job: Job, *, refused: RefusalOf, key: WriteKey | None = None, by: Actor = SYSTEM) -> Job:
    """Queue a job, and return it; the same request again returns the job that it made.

    It is the same by its key, or by the job's id while that one is unfinished; a finished one of this id is replaced.

    Raises:
        RecsaasError: what `refused` makes, where the tenant has as many unfinished jobs as the kind allows.
        Conflict: the key came before with another request.
        NotFound: the job that the key made was removed.
    """
    with db.write() as session:
        take_turns(session, job.tenant)
        earlier = earlier_answer(session, job.tenant, key)
        if earlier is not None:
            return record_of(row_of(session, job.tenant, job.kind, earlier["job_id"]))
        known = session.get(JobRow, (job.tenant.value, job.id))
        if known is not None and known.status in UNFINISHED:
            return record_of(known)
        _require_room(session, job, refused)
        row = insert_job(session, job)
        remember_answer(session, job.tenant, key, {"job_id": job.id}, now=job.created_at)
        session.flush()
        _record(session, by, row, POLICIES[job.kind].asked, job.created_at, after=job.input)
        return record_of(row)


def insert_job(session: Session, job: Job) -> JobRow:
    """Within a transaction: queue a job, in place of a finished one of its id, and return its row."""
    return session.merge(_row(job, _time_of(session, job)))


def get_job(db: ControlDb, tenant: TenantId, kind: JobKind, job_id: str) -> Job:
    """Return the job.

    Raises:
        NotFound: the tenant has no job of this kind and id; each kind has an error of its own.
    """
    with db.read() as session:
        return record_of(row_of(session, tenant, kind, job_id))


def find_job(db: ControlDb, tenant: TenantId, job_id: str) -> Job | None:
    """Return the tenant's job of this id, of whichever kind; None when there is none."""
    with db.read() as session:
        row = session.get(JobRow, (tenant.value, job_id))
        return None if row is None else record_of(row)


def list_jobs(
    db: ControlDb,
    tenant: TenantId | None,
    kinds: Sequence[JobKind] = tuple(JobKind),
    *,
    statuses: Sequence[JobStatus] = tuple(JobStatus),
    before: datetime | None = None,
    limit: int | None = None,
) -> tuple[Job, ...]:
    """Jobs of these kinds, newest first: those of one tenant, or of all with None.

    Args:
        statuses: where they stand.
        before: only those that were added earlier than this.
        limit: how many at most.
    """
    statement = select(JobRow).where(JobRow.kind.in_(kinds), JobRow.status.in_(statuses))
    if tenant is not None:
        statement = statement.where(JobRow.tenant_id == tenant.value)
    if before is not None:
        statement = statement.where(JobRow.created_at < before)
    newest_first = statement.order_by(JobRow.created_at.desc(), JobRow.id.desc())
    with db.read() as session:
        return tuple(record_of(row) for row in session.scalars(newest_first.limit(limit)))


def list_unfinished(db: ControlDb, kind: JobKind, tenant: TenantId | None = None) -> tuple[Job, ...]:
    """The unfinished jobs of a kind, oldest first: those of one tenant, or of all with None."""
    return tuple(reversed(list_jobs(db, tenant, (kind,), statuses=UNFINISHED)))


def list_ended(db: ControlDb, kind: JobKind, *, before: datetime) -> tuple[Job, ...]:
    """Jobs of a kind of all tenants that ended before a time."""
    ended = (JobRow.status.not_in(UNFINISHED), JobRow.ended_at < before)
    with db.read() as session:
        return tuple(record_of(row) for row in session.scalars(select(JobRow).where(JobRow.kind == kind, *ended)))


def count_unfinished(db: ControlDb, kind: JobKind) -> Mapping[JobStatus, int]:
    """How many jobs of a kind wait, and how many are being worked on, of all tenants."""
    statement = (
        select(JobRow.status, func.count())
        .where(JobRow.kind == kind, JobRow.status.in_(UNFINISHED))
        .group_by(JobRow.status)
    )
    with db.read() as session:
        found = Counter({JobStatus(status): count for status, count in session.execute(statement)})
    return {status: found[status] for status in UNFINISHED}


def cancel_job(
    db: ControlDb, tenant: TenantId, kind: JobKind, job_id: str, *, now: datetime, by: Actor = SYSTEM
) -> Job:
    """End a queued job at once, and a running one as its kind says. Cancelling again changes nothing.

    Raises:
        NotFound: the tenant has no such job.
        Conflict: it has ended already, or its kind cannot be cancelled.
    """
    policy = POLICIES[kind]
    with db.write() as session:
        row = row_of(session, tenant, kind, job_id, change=True)
        if not policy.cancellable:
            raise Conflict(f"Job {row.id} cannot be cancelled. {policy.again or ''}".rstrip())
        if row.status in (JobStatus.DONE, JobStatus.FAILED):
            ended = "completed" if row.status == JobStatus.DONE else row.status
            raise Conflict(f"Job {row.id} has {ended} already, so there is nothing to cancel.")
        if not row.cancel_requested:
            _record(session, by, row, policy.cancelled, now, before={"status": row.status, "progress": row.progress})
        row.cancel_requested = True
        if row.status == JobStatus.QUEUED or (row.status == JobStatus.RUNNING and policy.cancelling == "ends"):
            end_row(row, Outcome(status=JobStatus.CANCELLED, result=row.result), now=now)
        return record_of(row)


def retry_job(db: ControlDb, tenant: TenantId, kind: JobKind, job_id: str, *, now: datetime, by: Actor = SYSTEM) -> Job:
    """Queue a job again that has failed or was cancelled, as if it had just been asked for.

    Raises:
        NotFound: the tenant has no such job.
        Conflict: it has not failed, its kind cannot be tried again, or there is no room for one more.
    """
    policy = POLICIES[kind]
    with db.write() as session:
        take_turns(session, tenant)
        row = row_of(session, tenant, kind, job_id, change=True)
        if row.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise Conflict(f"Job {row.id} is {row.status}; only one that has failed or was cancelled is tried again.")
        if policy.again is not None:
            raise Conflict(f"Job {row.id} cannot be tried again. {policy.again}")
        _require_room(session, record_of(row), _no_room)
        _record(session, by, row, policy.retried, now, before={"status": row.status, "error": row.error})
        row.status, row.attempts, row.rests = JobStatus.QUEUED, 0, 0
        row.progress, row.result, row.error = 0.0, {}, None
        row.cancel_requested, row.started_at, row.ended_at, row.updated_at = False, None, None, now
        return record_of(row)


def begin_anew(session: Session, tenant: TenantId, kind: JobKind) -> None:
    """Within a transaction: take the tenant's running jobs away from their processes, and queue them again."""
    running = (JobRow.tenant_id == tenant.value, JobRow.kind == kind, JobRow.status == JobStatus.RUNNING)
    anew = {"status": JobStatus.QUEUED, "claimed_by": None, "claimed_until": None, "attempts": JobRow.attempts - 1}
    session.execute(update(JobRow).where(*running).values(**anew))


def forget_job(db: ControlDb, tenant: TenantId, job_id: str) -> None:
    """Remove a finished job; an unfinished one stays."""
    with db.write() as session:
        forget_row(session, tenant, job_id)


def forget_row(session: Session, tenant: TenantId, job_id: str) -> bool:
    """Within a transaction: remove a finished job; an unfinished one stays. Whether there was one."""
    gone = delete(JobRow).where(*_is(tenant, job_id), JobRow.status.not_in(UNFINISHED)).returning(JobRow.id)
    return session.execute(gone).one_or_none() is not None


def forget_finished(db: ControlDb, tenant: TenantId, kind: JobKind, *, before: datetime) -> None:
    """Remove the tenant's jobs of a kind that ended before a time."""
    ended = (JobRow.status.not_in(UNFINISHED), JobRow.ended_at < before)
    with db.write() as session:
        session.execute(delete(JobRow).where(JobRow.tenant_id == tenant.value, JobRow.kind == kind, *ended))


def row_of(session: Session, tenant: TenantId, kind: JobKind, job_id: str, *, change: bool = False) -> JobRow:
    """The row of a job; to `change` it, nobody else can until the transaction ends.

    Raises:
        NotFound: the tenant has no job of this kind and id.
    """
    row = row_to_change(session, tenant, job_id) if change else session.get(JobRow, (tenant.value, job_id))
    if row is None or row.kind != kind:
        error, message = _MISSING[kind]
        raise error(message.format(tenant=tenant, id=job_id[:80]))
    return row


def row_to_change(session: Session, tenant: TenantId, job_id: str) -> JobRow | None:
    """The row of a job as it is until this transaction ends; None when there is none.

    SQLite has one writer at a time anyway. Elsewhere a process could end the job between the look and the change, and
    the change would undo that.
    """
    return session.get(JobRow, (tenant.value, job_id), with_for_update=True)


def end_row(row: JobRow, outcome: Outcome, *, now: datetime) -> None:
    """Note in the row of a job how it ended, and end its claim."""
    for column, value in ended_columns(outcome, now=now).items():
        setattr(row, column, value)


def ended_columns(outcome: Outcome, *, now: datetime) -> Mapping[str, Any]:
    """Columns of a job that has ended so, with no claim on it."""
    whole = {"progress": 1.0} if outcome.status is JobStatus.DONE else {}
    return {
        "status": outcome.status,
        "result": dict(outcome.result),
        "error": None if outcome.error is None else asdict(outcome.error),
        "claimed_by": None,
        "claimed_until": None,
        "not_before": None,
        "updated_at": now,
        "ended_at": now,
        **whole,
    }


def record_of(row: JobRow) -> Job:
    """The job that a row holds."""
    return Job(
        tenant=TenantId(row.tenant_id),
        id=row.id,
        kind=JobKind(row.kind),
        status=JobStatus(row.status),
        priority=row.priority,
        subject=row.subject,
        input=row.input,
        result=row.result,
        error=None if row.error is None else JobError(**row.error),
        progress=row.progress,
        attempts=row.attempts,
        rests=row.rests,
        cancel_requested=row.cancel_requested,
        run_id=row.run_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _record(
    session: Session, by: Actor, row: JobRow, action: str | None, now: datetime, **values: Mapping[str, Any]
) -> None:
    """Record what was done with a job, with `before` or `after`; nothing where its kind has no such action."""
    if action is not None:
        change = Change(action=action, object_kind="job", object_id=row.id, **values)
        record(session, by, change, tenant=TenantId(row.tenant_id), now=now)


def _row(job: Job, at: datetime) -> JobRow:
    return JobRow(
        tenant_id=job.tenant.value,
        id=job.id,
        kind=job.kind,
        status=job.status,
        priority=job.priority or POLICIES[job.kind].priority,
        subject=job.subject,
        input=dict(job.input),
        result=dict(job.result),
        error=None,
        progress=job.progress,
        attempts=job.attempts,
        rests=job.rests,
        claimed_by=None,
        claimed_until=None,
        not_before=None,
        cancel_requested=False,
        run_id=job.run_id,
        created_at=at,
        updated_at=at,
        started_at=None,
        ended_at=None,
    )


def _time_of(session: Session, job: Job) -> datetime:
    """When the job is said to be made: later than the tenant's others of its kind, where their list has an order."""
    if not POLICIES[job.kind].ordered:
        return job.created_at
    newest = session.scalar(select(func.max(JobRow.created_at)).where(_of(job.tenant, job.kind)))
    return job.created_at if newest is None else max(job.created_at, newest + _MOMENT)


def _require_room(session: Session, job: Job, refused: RefusalOf) -> None:
    most = POLICIES[job.kind].max_unfinished
    if most is None:
        return
    of_kind = select(JobRow).where(_of(job.tenant, job.kind), JobRow.status.in_(UNFINISHED))
    unfinished = session.scalars(of_kind.order_by(JobRow.created_at)).all()
    if len(unfinished) >= most:
        raise refused(record_of(unfinished[0]), len(unfinished))


def _no_room(unfinished: Job, count: int) -> RecsaasError:
    return Conflict(f"{count} jobs of this kind are unfinished ({unfinished.id} is one), and no more may be.")


def _of(tenant: TenantId, kind: JobKind) -> ColumnElement[bool]:
    return and_(JobRow.tenant_id == tenant.value, JobRow.kind == kind)


def _is(tenant: TenantId, job_id: str) -> tuple[ColumnElement[bool], ...]:
    return JobRow.tenant_id == tenant.value, JobRow.id == job_id
