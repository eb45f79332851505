"""Memberships: who belongs to which shop, in which role. A shop has an owner at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import TenantRole, tenant_role
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, NotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow, MembershipRow
from resources.control_db.tables.tenants import TenantRow, take_turns


@dataclass(frozen=True, slots=True)
class Membership:
    """One shop of a member; `tenant_status` is the shop's."""

    tenant: TenantId
    tenant_name: str
    tenant_status: str
    role: TenantRole
    since: datetime


@dataclass(frozen=True, slots=True)
class TeamMember:
    """One member of a shop; `status` is the person's."""

    id: str
    email: str
    name: str
    status: str
    second_factor: bool
    role: TenantRole
    since: datetime
    last_login_at: datetime | None


def memberships_of(session: Session, member_id: str) -> tuple[Membership, ...]:
    """Return the shops of a member, longest first; those that are retired are left out."""
    statement = (
        select(MembershipRow, TenantRow.name, TenantRow.status)
        .join(TenantRow, TenantRow.id == MembershipRow.tenant_id)
        .where(MembershipRow.member_id == member_id, TenantRow.status != "retired")
        .order_by(MembershipRow.created_at, MembershipRow.tenant_id)
    )
    return tuple(
        Membership(TenantId(row.tenant_id), name, status, tenant_role(row.role), row.created_at)
        for row, name, status in session.execute(statement)
    )


def team_of(session: Session, tenant: TenantId) -> tuple[TeamMember, ...]:
    """Return the members of a shop by e-mail."""
    statement = (
        select(MembershipRow, MemberRow)
        .join(MemberRow, MemberRow.id == MembershipRow.member_id)
        .where(MembershipRow.tenant_id == tenant.value)
        .order_by(MemberRow.email)
    )
    return tuple(
        TeamMember(
            member.id, member.email, member.name, member.status, member.totp_confirmed_at is not None,
            tenant_role(row.role), row.created_at, member.last_login_at,
        )
        for row, member in session.execute(statement)
    )  # fmt: skip


def role_in(session: Session, member_id: str, tenant: TenantId) -> TenantRole | None:
    """Return the member's role in the shop; None for somebody else."""
    row = session.get(MembershipRow, (member_id, tenant.value))
    return None if row is None else tenant_role(row.role)


def add_membership(
    session: Session, member: MemberRow, tenant: TenantId, role: TenantRole, *, by: Actor, now: datetime
) -> None:
    """Let a member into a shop.

    Raises:
        Conflict: the member belongs to it already.
    """
    take_turns(session, tenant)
    if session.get(MembershipRow, (member.id, tenant.value)) is not None:
        raise Conflict(f"{member.email} belongs to {tenant} already; change the role instead.")
    session.add(MembershipRow(member_id=member.id, tenant_id=tenant.value, role=role, created_at=now))
    session.flush()
    record(session, by, _change("member.add", member.id, None, role), tenant=tenant, now=now)


def change_role(
    session: Session, member_id: str, tenant: TenantId, role: TenantRole, *, by: Actor, now: datetime
) -> None:
    """Give a member of a shop another role there; it holds within 5 s on every worker.

    Raises:
        NotFound: the shop has no such member.
        Conflict: it is the last owner.
    """
    take_turns(session, tenant)
    row = _membership(session, member_id, tenant)
    if row.role == role:
        return
    if row.role == "owner":
        _keep_an_owner(session, member_id, tenant)
    before, row.role = row.role, role
    record(session, by, _change("member.role", member_id, before, role), tenant=tenant, now=now)


def remove_membership(session: Session, member_id: str, tenant: TenantId, *, by: Actor, now: datetime) -> None:
    """Take a member out of a shop; tokens for it end within 5 s on every worker, and the person stays a member.

    Raises:
        NotFound: the shop has no such member.
        Conflict: it is the last owner.
    """
    take_turns(session, tenant)
    row = _membership(session, member_id, tenant)
    if row.role == "owner":
        _keep_an_owner(session, member_id, tenant)
    session.delete(row)
    record(session, by, _change("member.remove", member_id, row.role, None), tenant=tenant, now=now)


def _membership(session: Session, member_id: str, tenant: TenantId) -> MembershipRow:
    row = session.get(MembershipRow, (member_id, tenant.value), populate_existing=True)
    if row is None:
        raise NotFound(f"{tenant} has no member {member_id[:60]!r}; list its members to see who there is.")
    return row


def _keep_an_owner(session: Session, member_id: str, tenant: TenantId) -> None:
    """Refuse to go on where nobody else is an owner who can log in. The caller has the tenant's turn."""
    others = (
        select(MembershipRow.member_id)
        .join(MemberRow, MemberRow.id == MembershipRow.member_id)
        .where(
            MembershipRow.tenant_id == tenant.value,
            MembershipRow.role == "owner",
            MembershipRow.member_id != member_id,
            MemberRow.status == "active",
        )
    )
    if session.scalars(others.limit(1)).first() is None:
        raise Conflict(f"This is the last owner of {tenant}; make somebody else an owner first.")


def _change(action: str, member_id: str, before: str | None, after: str | None) -> Change:
    return Change(
        action=action,
        object_kind="member",
        object_id=member_id,
        before=None if before is None else {"role": before},
        after=None if after is None else {"role": after},
    )
