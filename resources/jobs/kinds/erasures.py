"""Requests to erase a user. The commit here is the acknowledgement; the user's id is kept only until it is done."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, func, select, update

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.audit.subjects import subject_of
from resources.base.errors import TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.event_rows import events_about
from resources.control_db.tables.events import EventRow
from resources.control_db.tables.jobs import JobRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.control_db.tables.uploads import UploadRow
from resources.jobs import store
from resources.jobs.model import UNFINISHED, Job, JobKind, JobStatus, Outcome

NOT_NEEDED = "not needed"
"""In place of a run: nothing that was trained had seen the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One request. `certificate` holds what was found so far, then the whole. `user_id` is null once nothing is left to
    be found; an erasure that is pending then waits for deleted rows to leave the files of the databases.

    `retrained_run` is the run that trained without the user; null while one is due.
    """

    id: str
    tenant: TenantId
    user_id: str | None
    user_digest: str
    status: Literal["pending", "completed"]
    certificate: Mapping[str, Any] | None
    retrained_run: str | None
    requested_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Erasure:
        """Read a job of this kind."""
        return cls(
            id=job.id,
            tenant=job.tenant,
            user_id=job.subject,
            user_digest=job.input["user_digest"],
            status="completed" if job.finished else "pending",
            certificate=job.result,
            retrained_run=job.run_id,
            requested_at=job.created_at,
            completed_at=job.ended_at,
        )


def user_digest(erasure_id: str, user_id: str) -> str:
    """HMAC-SHA256 of a user's id with the erasure's id as key: proves whose erasure it was to whoever knows both."""
    return hmac.new(erasure_id.encode(), user_id.encode(), hashlib.sha256).hexdigest()


def request_erasure(db: ControlDb, tenant: TenantId, user_id: str, now: datetime, *, by: Actor = SYSTEM) -> Erasure:
    """Store the request and remove the user's events, in one transaction; a request that waits already is returned.

    An export that is being written may have the user in it already: with a new request it is begun anew.

    Raises:
        TenantNotFound: no tenant has this id.
    """
    with db.write() as session:
        take_turns(session, tenant)
        if session.get(TenantRow, tenant.value) is None:
            raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
        row = session.scalars(select(JobRow).where(*_pending(tenant), JobRow.subject == user_id)).first()
        gone = session.execute(
            delete(EventRow).where(events_about(tenant, user_id)).execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        if row is None:
            erasure_id = f"erasure-{secrets.token_hex(12)}"
            job = Job(
                tenant=tenant,
                id=erasure_id,
                kind=JobKind.ERASURE,
                subject=user_id,
                input={"user_digest": user_digest(erasure_id, user_id)},
                created_at=now,
                updated_at=now,
            )
            row = store.insert_job(session, job)
            store.begin_anew(session, tenant, JobKind.EXPORT)
            store.begin_anew(session, tenant, JobKind.TENANT_EXPORT)
            subject = subject_of(session, tenant, user_id)
            asked = Change(action="erasure.ask", object_kind="user", object_id=subject, after={"erasure": erasure_id})
            record(session, by, asked, tenant=tenant, now=now)
        row.result = {**row.result, "events": row.result.get("events", 0) + gone}
        session.flush()
        return Erasure.of(store.record_of(row))


def note_found(db: ControlDb, erasure: Erasure, found: Mapping[str, Any]) -> None:
    """Keep what was found before it is removed, so that the certificate is whole after a crash."""
    with db.write() as session:
        row = session.get_one(JobRow, (erasure.tenant.value, erasure.id))
        row.result = {**row.result, "found": dict(found)}


def newest_upload(db: ControlDb, tenant: TenantId) -> int:
    """Sequence of the tenant's newest upload; 0 when there is none."""
    with db.read() as session:
        return session.scalar(select(func.max(UploadRow.sequence)).where(UploadRow.tenant_id == tenant.value)) or 0


def forget_user(
    db: ControlDb, erasure: Erasure, certificate: Mapping[str, Any], *, uploads_until: int, retrain: bool
) -> bool:
    """Forget the user's id and keep the certificate; False, and nothing is changed, when new data came meanwhile.

    New data is an upload later than sequence `uploads_until`, an event of the user, or a file that waits to be checked.
    The erasure stays pending until `complete_erasure`: the files of the databases may still hold deleted rows.
    """
    tenant = erasure.tenant.value
    events = select(func.count()).where(EventRow.tenant_id == tenant, EventRow.user_id == erasure.user_id)
    uploads = select(func.count()).where(UploadRow.tenant_id == tenant, UploadRow.sequence > uploads_until)
    checks = select(func.count()).where(
        JobRow.tenant_id == tenant, JobRow.kind == JobKind.UPLOAD, JobRow.status.in_(UNFINISHED)
    )
    with db.write() as session:
        take_turns(session, erasure.tenant)
        if any(session.scalar(count) for count in (events, uploads, checks)):
            return False
        row = session.get_one(JobRow, (tenant, erasure.id))
        row.result, row.subject = dict(certificate), None
        row.run_id = None if retrain else NOT_NEEDED
    return True


def complete_erasure(db: ControlDb, erasure: Erasure, certificate: Mapping[str, Any], *, now: datetime) -> None:
    """Store the certificate of an erasure whose user is forgotten; with that it is done."""
    with db.write() as session:
        row = session.get_one(JobRow, (erasure.tenant.value, erasure.id))
        row.progress = 1.0
        store.end_row(row, Outcome(status=JobStatus.DONE, result=certificate), now=now)
        done = Change(action="erasure.done", object_kind="erasure", object_id=erasure.id)
        record(session, SYSTEM, done, tenant=erasure.tenant, now=now)


def get_erasure(db: ControlDb, tenant: TenantId, erasure_id: str) -> Erasure:
    """Return the erasure.

    Raises:
        ErasureNotFound: the tenant has no erasure with this id.
    """
    return Erasure.of(store.get_job(db, tenant, JobKind.ERASURE, erasure_id))


def list_erasures(db: ControlDb, tenant: TenantId) -> tuple[Erasure, ...]:
    """The tenant's erasures, oldest first."""
    found = store.list_jobs(db, tenant, (JobKind.ERASURE,))
    return tuple(Erasure.of(job) for job in reversed(found))


def pending_erasures(db: ControlDb) -> tuple[Erasure, ...]:
    """Erasures of all tenants that are not done, oldest first."""
    return tuple(Erasure.of(job) for job in store.list_unfinished(db, JobKind.ERASURE))


def users_being_erased(db: ControlDb, tenant: TenantId) -> frozenset[str]:
    """Users of the tenant whose erasure was acknowledged and is not done."""
    with db.read() as session:
        users = session.scalars(select(JobRow.subject).where(*_pending(tenant)))
        return frozenset(user for user in users if user is not None)


def tenants_to_retrain(db: ControlDb) -> Mapping[TenantId, Erasure]:
    """Tenants whose model has to be trained again because of an erasure, each with the newest such erasure."""
    statement = (
        select(JobRow)
        .where(JobRow.kind == JobKind.ERASURE, JobRow.status == JobStatus.DONE, JobRow.run_id.is_(None))
        .order_by(JobRow.ended_at, JobRow.id)
    )
    with db.read() as session:
        return {TenantId(row.tenant_id): Erasure.of(store.record_of(row)) for row in session.scalars(statement)}


def mark_retrained(db: ControlDb, tenant: TenantId, run_id: str) -> None:
    """Note that `run_id` has made a release without the users whose erasure is done."""
    due = (JobRow.kind == JobKind.ERASURE, JobRow.status == JobStatus.DONE, JobRow.run_id.is_(None))
    with db.write() as session:
        session.execute(update(JobRow).where(JobRow.tenant_id == tenant.value, *due).values(run_id=run_id))


def _pending(tenant: TenantId) -> tuple[ColumnElement[bool], ...]:
    return JobRow.tenant_id == tenant.value, JobRow.kind == JobKind.ERASURE, JobRow.status.in_(UNFINISHED)
