"""The team of a shop, as its admins change it: nobody has power over roles above their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import TenantRole
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.mail.queue import queue_mail
from resources.people.invites import check_rank, take_back_invites
from resources.people.members import member_by_email, member_by_id, new_member
from resources.people.memberships import change_role, remove_membership, role_in
from resources.plans.checks import check_seat


def give_role(
    session: Session,
    tenant: TenantId,
    member_id: str,
    role: TenantRole,
    *,
    own: TenantRole,
    by: Actor,
    now: datetime,
) -> MemberRow:
    """Give a member of the shop another role; `own` is the role of whoever does it.

    Raises:
        NotFound: the shop has no such member.
        Forbidden: the role, or the member's present one, is above `own`.
        Conflict: it is the last owner.
    """
    take_turns(session, tenant)  # before the rank is read, which another may be raising
    check_rank(own, _role(session, tenant, member_id), role)
    change_role(session, member_id, tenant, role, by=by, now=now)
    return member_by_id(session, member_id)


def remove_from_team(
    session: Session, tenant: TenantId, member_id: str, *, own: TenantRole, by: Actor, now: datetime
) -> MemberRow:
    """Take a member out of the shop: within 5 seconds no token of theirs is taken for it. A mail tells them.

    Raises:
        NotFound: the shop has no such member.
        Forbidden: the member's role is above `own`.
        Conflict: it is the last owner.
    """
    take_turns(session, tenant)
    check_rank(own, _role(session, tenant, member_id))
    remove_membership(session, member_id, tenant, by=by, now=now)
    member = member_by_id(session, member_id)
    shop = session.get(TenantRow, tenant.value)
    values = {"email": member.email, "place": tenant.value if shop is None else shop.name, "remover": by.name}
    queue_mail(session, member.email, "removed", values, tenant=tenant, now=now)
    return member


def leave_team(session: Session, tenant: TenantId, member_id: str, *, by: Actor, now: datetime) -> MemberRow:
    """Take oneself out of the shop.

    Raises:
        NotFound: the shop has no such member.
        Conflict: it is the last owner.
    """
    remove_membership(session, member_id, tenant, by=by, now=now)
    return member_by_id(session, member_id)


def pass_ownership(
    session: Session, tenant: TenantId, owner_id: str, member_id: str, *, by: Actor, now: datetime
) -> MemberRow:
    """Make another member of the shop an owner, and its owner an admin; return the new owner.

    Raises:
        NotFound: the shop has no such member.
        InvalidInput: it is the owner already.
        Conflict: the new owner is suspended, and could not do anything.
    """
    if owner_id == member_id:
        raise InvalidInput("You are an owner already; name the member who is to be one.")
    _role(session, tenant, member_id)
    member = member_by_id(session, member_id)
    if member.status != "active":
        raise Conflict(f"{member.email} is suspended, and cannot be an owner.")
    change_role(session, member_id, tenant, "owner", by=by, now=now)
    if role_in(session, owner_id, tenant) == "owner":
        change_role(session, owner_id, tenant, "admin", by=by, now=now)
    return member


def create_user(
    session: Session, tenant: TenantId | None, email: str, *, name: str, password_hash: str, by: Actor, now: datetime
) -> MemberRow:
    """Make an account with a password that somebody else has chosen; the address counts as not verified.

    The caller lets the person into the shop, or the office, for which the account is made. An invitation of the address
    into the shop is taken back: its seat is that of the account.

    Raises:
        Conflict: the address has an account: nobody is taken into a shop without being asked.
        InvalidInput: the name is too long.
        QuotaExceeded: the shop's plan has no seat left.
    """
    if tenant is not None:
        take_turns(session, tenant)
    if member_by_email(session, email) is not None:
        raise Conflict(f"{email} has an account already; send an invitation instead.")
    if tenant is not None:
        take_back_invites(session, tenant, email, by=by, now=now)
        check_seat(session, tenant, now=now)
    member = new_member(session, email=email, name=name, password_hash=password_hash, verified=False, now=now)
    change = Change(action="member.create", object_kind="member", object_id=member.id, after={"email": email})
    record(session, by, change, tenant=tenant, now=now)
    return member


def _role(session: Session, tenant: TenantId, member_id: str) -> TenantRole:
    role = role_in(session, member_id, tenant)
    if role is None:
        raise NotFound(f"{tenant} has no member {member_id[:60]!r}; list its members to see who there is.")
    return role
