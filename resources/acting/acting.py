"""Beginning and ending to act for a tenant. The tenant's owners are told by mail, and its audit log has every line."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import TenantRole, tenant_role
from resources.audit.entries import Change, record
from resources.base.errors import InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.audit import ActingRow
from resources.control_db.tables.people import MemberRow, MembershipRow
from resources.control_db.tenants import tenant_to_change
from resources.mail.queue import queue_mail

ACTING_TIME = timedelta(minutes=30)
"""How long somebody acts for a tenant; there is no renewal."""
MIN_REASON, MAX_REASON = 10, 500
"""Characters of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingRequest:
    """For which tenant, and why.

    Attributes:
        reason: for the tenant to read, `MIN_REASON` to `MAX_REASON` characters.
        member: id or e-mail of the member whose view it is to be; None: the owners'.
        writes: whether anything may be changed.
        ticket: of the support system.
    """

    tenant: TenantId
    reason: str
    member: str | None = None
    writes: bool = False
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingFor:
    """One time that somebody acts for a tenant. `acting_for` is a member's e-mail, or the tenant's id."""

    id: str
    tenant: TenantId
    actor_id: str
    acting_for: str
    role: TenantRole
    reason: str
    ticket: str | None
    writes: bool
    began_at: datetime
    ends_at: datetime


def begin_acting(session: Session, asked: ActingRequest, *, by: Actor, now: datetime) -> ActingFor:
    """Begin to act for a tenant; whatever `by` did so before ends with that.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
        NotFound: the tenant has no such member.
        InvalidInput: the reason is too short or too long.
    """
    reason = " ".join(asked.reason.split())
    if not MIN_REASON <= len(reason) <= MAX_REASON:
        raise InvalidInput(
            f"Give a reason of {MIN_REASON} to {MAX_REASON} characters: the owners of the shop are told, and read it "
            "in their audit log."
        )
    tenant_to_change(session, asked.tenant)
    for earlier in session.scalars(select(ActingRow).where(*_open(by.id, now)).order_by(ActingRow.tenant_id)).all():
        _end(session, earlier, by=by, now=now)
    member, role = _member(session, asked)
    row = ActingRow(
        id=f"acting-{secrets.token_hex(12)}",
        tenant_id=asked.tenant.value,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        acting_for=member or asked.tenant.value,
        role=role,
        reason=reason,
        ticket=asked.ticket,
        writes=asked.writes,
        began_at=now,
        ends_at=now + ACTING_TIME,
        ended_at=None,
    )
    session.add(row)
    after = {"acting": row.id, "writes": row.writes, "ticket": row.ticket, "ends_at": row.ends_at.isoformat()}
    _record(session, row, "acting.begin", after, by=by, now=now)
    _tell_owners(session, row, now)
    return _of(row)


def end_acting(session: Session, actor_id: str, *, by: Actor, now: datetime) -> int:
    """End whatever this actor does for a tenant at the moment; return how many that were. Tokens end within 5 s."""
    found = session.scalars(select(ActingRow).where(*_open(actor_id, now)).with_for_update()).all()
    for row in found:
        _end(session, row, by=by, now=now)
    return len(found)


def open_acting(session: Session, acting_id: str, *, now: datetime) -> ActingFor | None:
    """The acting of this id; None when it has ended, or its time is over."""
    row = session.get(ActingRow, acting_id)
    return None if row is None or row.ended_at is not None or row.ends_at <= now else _of(row)


def _member(session: Session, asked: ActingRequest) -> tuple[str | None, TenantRole]:
    """The e-mail and the role of the member whose view it is to be."""
    if asked.member is None:
        return None, "owner"
    found = session.execute(
        select(MemberRow.email, MembershipRow.role)
        .join(MembershipRow, MembershipRow.member_id == MemberRow.id)
        .where(MembershipRow.tenant_id == asked.tenant.value)
        .where((MemberRow.id == asked.member) | (MemberRow.email == asked.member.strip().lower()))
    ).one_or_none()
    if found is None:
        raise NotFound(f"Tenant {asked.tenant} has no member {asked.member[:80]!r}; leave it out, or name another.")
    return found.email, tenant_role(found.role)


def _end(session: Session, row: ActingRow, *, by: Actor, now: datetime) -> None:
    row.ended_at = now
    _record(session, row, "acting.end", {"acting": row.id}, by=by, now=now)


def _record(
    session: Session, row: ActingRow, action: str, after: dict[str, object], *, by: Actor, now: datetime
) -> None:
    marked = replace(by, acting_for=row.acting_for, reason=row.reason)
    change = Change(action=action, object_kind="tenant", object_id=row.tenant_id, after=after)
    record(session, marked, change, tenant=TenantId(row.tenant_id), now=now)


def _tell_owners(session: Session, row: ActingRow, now: datetime) -> None:
    owners = session.scalars(
        select(MemberRow.email)
        .join(MembershipRow, MembershipRow.member_id == MemberRow.id)
        .where(MembershipRow.tenant_id == row.tenant_id, MembershipRow.role == "owner", MemberRow.status == "active")
        .order_by(MemberRow.email)
    )
    values = {
        "tenant": row.tenant_id,
        "who": row.actor_name,
        "member": row.acting_for,
        "reason": row.reason,
        "ticket": row.ticket,
        "writes": row.writes,
        "until": f"{row.ends_at:%Y-%m-%d %H:%M} UTC",
    }
    for owner in owners.all():
        queue_mail(session, owner, "acting_began", values, tenant=TenantId(row.tenant_id), now=now)


def _open(actor_id: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return ActingRow.actor_id == actor_id, ActingRow.ended_at.is_(None), ActingRow.ends_at > now


def _of(row: ActingRow) -> ActingFor:
    return ActingFor(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        actor_id=row.actor_id,
        acting_for=row.acting_for,
        role=tenant_role(row.role),
        reason=row.reason,
        ticket=row.ticket,
        writes=row.writes,
        began_at=row.began_at,
        ends_at=row.ends_at,
    )
