"""Requests to erase a user. The commit here is the acknowledgement; the user's id is kept only until it is done."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, func, select, update

from resources.base.errors import ErasureNotFound, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.recommendation_exports import restart_running
from resources.control_db.tables import ErasureRow, EventRow, TenantRow, UploadJobRow, UploadRow
from resources.control_db.tenants import take_turns
from resources.control_db.upload_jobs import UNFINISHED

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


def user_digest(erasure_id: str, user_id: str) -> str:
    """HMAC-SHA256 of a user's id with the erasure's id as key: proves whose erasure it was to whoever knows both."""
    return hmac.new(erasure_id.encode(), user_id.encode(), hashlib.sha256).hexdigest()


def request_erasure(db: ControlDb, tenant: TenantId, user_id: str, now: datetime) -> Erasure:
    """Store the request and remove the user's events, in one transaction; a request that waits already is returned.

    An export that is being written may have the user in it already: with a new request it is begun anew.

    Raises:
        TenantNotFound: no tenant has this id.
    """
    with db.write() as session:
        take_turns(session, tenant)
        if session.get(TenantRow, tenant.value) is None:
            raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
        row = session.scalars(
            select(ErasureRow).where(
                ErasureRow.tenant_id == tenant.value, ErasureRow.status == "pending", ErasureRow.user_id == user_id
            )
        ).first()
        gone = session.execute(
            delete(EventRow).where(EventRow.tenant_id == tenant.value, EventRow.user_id == user_id)
        ).rowcount  # type: ignore[attr-defined]
        if row is None:
            erasure_id = f"erasure-{secrets.token_hex(12)}"
            row = ErasureRow(
                id=erasure_id,
                tenant_id=tenant.value,
                user_id=user_id,
                user_digest=user_digest(erasure_id, user_id),
                status="pending",
                certificate={},
                requested_at=now,
            )
            session.add(row)
            restart_running(session, tenant)
        row.certificate = {**(row.certificate or {}), "events": (row.certificate or {}).get("events", 0) + gone}
        session.flush()
        return _record(row)


def note_found(db: ControlDb, erasure: Erasure, found: Mapping[str, Any]) -> None:
    """Keep what was found before it is removed, so that the certificate is whole after a crash."""
    with db.write() as session:
        row = session.get_one(ErasureRow, erasure.id)
        row.certificate = {**(row.certificate or {}), "found": dict(found)}


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
    jobs = select(func.count()).where(UploadJobRow.tenant_id == tenant, UploadJobRow.status.in_(UNFINISHED))
    with db.write() as session:
        take_turns(session, erasure.tenant)
        if any(session.scalar(count) for count in (events, uploads, jobs)):
            return False
        row = session.get_one(ErasureRow, erasure.id)
        row.certificate, row.user_id = dict(certificate), None
        row.retrained_run = None if retrain else NOT_NEEDED
    return True


def complete_erasure(db: ControlDb, erasure: Erasure, certificate: Mapping[str, Any], *, now: datetime) -> None:
    """Store the certificate of an erasure whose user is forgotten; with that it is done."""
    with db.write() as session:
        row = session.get_one(ErasureRow, erasure.id)
        row.certificate, row.status, row.completed_at = dict(certificate), "completed", now


def get_erasure(db: ControlDb, tenant: TenantId, erasure_id: str) -> Erasure:
    """Return the erasure.

    Raises:
        ErasureNotFound: the tenant has no erasure with this id.
    """
    with db.read() as session:
        row = session.get(ErasureRow, erasure_id)
    if row is None or row.tenant_id != tenant.value:
        raise ErasureNotFound(f"Tenant {tenant} has no erasure {erasure_id[:80]!r}; check the id.")
    return _record(row)


def list_erasures(db: ControlDb, tenant: TenantId) -> tuple[Erasure, ...]:
    """The tenant's erasures, oldest first."""
    statement = (
        select(ErasureRow).where(ErasureRow.tenant_id == tenant.value).order_by(ErasureRow.requested_at, ErasureRow.id)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def pending_erasures(db: ControlDb) -> tuple[Erasure, ...]:
    """Erasures of all tenants that are not done, oldest first."""
    statement = (
        select(ErasureRow).where(ErasureRow.status == "pending").order_by(ErasureRow.requested_at, ErasureRow.id)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def users_being_erased(db: ControlDb, tenant: TenantId) -> frozenset[str]:
    """Users of the tenant whose erasure was acknowledged and is not done."""
    statement = select(ErasureRow.user_id).where(ErasureRow.tenant_id == tenant.value, ErasureRow.status == "pending")
    with db.read() as session:
        return frozenset(user for user in session.scalars(statement) if user is not None)


def tenants_to_retrain(db: ControlDb) -> Mapping[TenantId, Erasure]:
    """Tenants whose model has to be trained again because of an erasure, each with the newest such erasure."""
    statement = (
        select(ErasureRow)
        .where(ErasureRow.status == "completed", ErasureRow.retrained_run.is_(None))
        .order_by(ErasureRow.completed_at, ErasureRow.id)
    )
    with db.read() as session:
        return {TenantId(row.tenant_id): _record(row) for row in session.scalars(statement)}


def mark_retrained(db: ControlDb, tenant: TenantId, run_id: str) -> None:
    """Note that `run_id` has made a release without the users whose erasure is done."""
    statement = (
        update(ErasureRow)
        .where(
            ErasureRow.tenant_id == tenant.value,
            ErasureRow.status == "completed",
            ErasureRow.retrained_run.is_(None),
        )
        .values(retrained_run=run_id)
    )
    with db.write() as session:
        session.execute(statement)


def _record(row: ErasureRow) -> Erasure:
    return Erasure(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        user_id=row.user_id,
        user_digest=row.user_digest,
        status="completed" if row.status == "completed" else "pending",
        certificate=row.certificate,
        retrained_run=row.retrained_run,
        requested_at=row.requested_at,
        completed_at=row.completed_at,
    )
