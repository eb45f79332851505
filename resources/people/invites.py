"""Invitations by mail: into a shop, or into the office of the platform."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import TENANT_ROLES, OfficeRole, TenantRole, office_role, tenant_role
from resources.audit.entries import Change, record
from resources.base.errors import (
    Conflict,
    Forbidden,
    LinkExpired,
    LinkNotValid,
    NotFound,
    TenantNotFound,
    TooManyRequests,
)
from resources.base.tenant import TenantId
from resources.control_db.tables.people import InviteRow, MemberRow, MembershipRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.control_db.tenants import tenant_to_change
from resources.mail.queue import mails_of_late, queue_mail
from resources.people.members import hold_member, hold_with_admins, member_by_email, new_member, set_office_role
from resources.people.memberships import add_membership
from resources.people.one_time_links import as_member, hash_token, new_token
from resources.plans.checks import check_seat

LIFETIME = timedelta(days=7)
MAX_OPEN = 100
"""Invitations of one shop that wait to be accepted."""
MAILS_AN_HOUR = 5
"""Mails about an invitation that one address is sent within an hour."""
OFFICE = "the office of recsaas"
"""What a mail calls the place where the people of the platform work."""
InviteStatus = Literal["open", "expired", "accepted", "revoked"]


@dataclass(frozen=True, slots=True)
class Invite:
    """One invitation; `tenant` is None where it leads into the office."""

    id: str
    tenant: TenantId | None
    email: str
    role: TenantRole | OfficeRole
    invited_by: str
    created_at: datetime
    expires_at: datetime
    status: InviteStatus


@dataclass(frozen=True, slots=True)
class OpenInvite:
    """What the invited person is shown: `place` is the shop's name, `has_account` whether their address has one."""

    invite: Invite
    place: str
    has_account: bool


def check_rank(own: TenantRole, *roles: TenantRole) -> None:
    """Refuse to give, change or take roles above one's own.

    Raises:
        Forbidden: one of `roles` is above `own`.
    """
    above = [role for role in roles if TENANT_ROLES.index(role) > TENANT_ROLES.index(own)]
    if above:
        raise Forbidden(f"The role {above[0]} is above yours, {own}; ask an owner of the shop.")


def invite(
    session: Session,
    tenant: TenantId,
    email: str,
    role: TenantRole,
    *,
    by: Actor,
    site_url: str,
    now: datetime,
) -> tuple[Invite, str]:
    """Invite an address, in its one form, into a shop; return the invitation and its link, which is not stored.

    An open invitation of the same address is taken back by that. Whether `by` may give the role is the caller's to
    check, by `check_rank`.

    Raises:
        TenantNotFound: there is no such tenant.
        Conflict: the shop is retired, the person belongs to it, or too many invitations are open.
        Forbidden: `by` is a member whose own address is not verified.
        TooManyRequests: the address was sent several mails within the hour.
        QuotaExceeded: the shop's plan has no seat left.
    """
    _check_inviter(session, by)
    tenant_to_change(session, tenant)
    member = member_by_email(session, email)
    if member is not None and session.get(MembershipRow, (member.id, tenant.value)) is not None:
        raise Conflict(f"{email} belongs to {tenant} already; change the role instead.")
    take_back_invites(session, tenant, email, by=by, now=now)
    _check_another(session, tenant, now)
    return _made(session, tenant, email, role, by, site_url, now)


def invite_to_office(
    session: Session, email: str, role: OfficeRole, *, by: Actor, site_url: str, now: datetime
) -> tuple[Invite, str]:
    """Invite an address, in its one form, to work for the platform; as `invite`.

    Raises:
        Conflict: the person has this role.
        TooManyRequests: the address was sent several mails within the hour.
    """
    member = member_by_email(session, email)
    if member is not None and member.office_role == role:
        raise Conflict(f"{email} is {role} already.")
    take_back_invites(session, None, email, by=by, now=now)
    return _made(session, None, email, role, by, site_url, now)


def list_invites(session: Session, tenant: TenantId | None, now: datetime) -> tuple[Invite, ...]:
    """Return the invitations of a shop, or of the office, that were neither accepted nor taken back, newest first."""
    unanswered = (_of(tenant), InviteRow.accepted_at.is_(None), InviteRow.revoked_at.is_(None))
    rows = session.scalars(select(InviteRow).where(*unanswered).order_by(InviteRow.created_at.desc(), InviteRow.id))
    return tuple(_record_of(row, now) for row in rows)


def revoke_invite(session: Session, tenant: TenantId | None, invite_id: str, *, by: Actor, now: datetime) -> Invite:
    """Take an invitation back; its link opens nothing any more. Taking it back again changes nothing.

    Raises:
        NotFound: there is no such invitation.
        Conflict: it was accepted.
    """
    row = _held(session, tenant, invite_id)
    if row.accepted_at is not None:
        raise Conflict("The invitation was accepted; take the member out of the shop instead.")
    if row.revoked_at is None:
        row.revoked_at = now
        _note(session, by, row, "invite.revoke", now)
    return _record_of(row, now)


def resend_invite(
    session: Session, tenant: TenantId | None, invite_id: str, *, by: Actor, site_url: str, now: datetime
) -> tuple[Invite, str]:
    """Send an invitation again, with a new link and a new end; the link of before opens nothing any more.

    Raises:
        NotFound: there is no such invitation.
        Conflict: it was accepted or taken back, or its time is over and too many others are open.
        Forbidden: `by` is a member whose own address is not verified.
        TooManyRequests: the address was sent several mails within the hour.
        QuotaExceeded: its time is over, and the shop's plan has no seat left.
    """
    if tenant is not None:
        _check_inviter(session, by)
    row = _held(session, tenant, invite_id)
    if row.accepted_at is not None or row.revoked_at is not None:
        raise Conflict("The invitation was accepted or taken back; invite the address anew.")
    if tenant is not None and now >= row.expires_at:  # it has no seat any more, as one that is open has
        _check_another(session, tenant, now)
    token = new_token()
    row.token_hash, row.expires_at = hash_token(token), now + LIFETIME
    link = _send(session, row, token, site_url, now)
    _note(session, by, row, "invite.resend", now)
    return _record_of(row, now), link


def find_invite(session: Session, token: str, now: datetime) -> OpenInvite:
    """Return what a link invites to; the invitation stays as it is.

    Raises:
        LinkNotValid: there is no such invitation, or it was answered or taken back; LinkExpired: its time is over.
        Forbidden: the shop is suspended.
    """
    row = session.scalars(select(InviteRow).where(InviteRow.token_hash == hash_token(token))).one_or_none()
    return _found(session, row, now)


def accept_as_new(
    session: Session, token: str, *, name: str, password_hash: str, way: Actor, now: datetime
) -> MemberRow:
    """Make the invited person a member, whose address the link has verified, and let them in.

    Raises:
        Conflict: the address has an account: its owner accepts by `accept_as_member`.
        InvalidInput: the name does not fit; and what `find_invite` raises.
    """
    row, found = _taken(session, token, now)
    member = new_member(session, email=row.email, name=name, password_hash=password_hash, verified=True, now=now)
    change = Change(action="member.create", object_kind="member", object_id=member.id, after={"email": member.email})
    record(session, as_member(way, member), change, tenant=found.tenant, now=now)
    _let_in(session, row, member, way, now)
    return member


def accept_as_member(session: Session, token: str, member_id: str, *, way: Actor, now: datetime) -> MemberRow:
    """Let a member in who has logged in.

    Raises:
        Forbidden: the invitation is for another address, or the member is suspended; and what `find_invite` raises.
        Conflict: the member belongs to the shop already.
    """
    row, _ = _taken(session, token, now)
    member = (hold_member if row.tenant_id is not None else hold_with_admins)(session, member_id)
    if member.status != "active":
        raise Forbidden(f"{member.email} is {member.status}. Ask whoever runs this service.")
    if member.email != row.email:
        raise Forbidden("The invitation is for another address than yours. Log in with that one, or ask to be invited.")
    member.email_verified_at = member.email_verified_at or now
    _let_in(session, row, member, way, now)
    return member


def open_invite_of(session: Session, tenant: TenantId | None, email: str, now: datetime) -> InviteRow | None:
    """Return the open invitation of an address into a shop, or into the office, which nobody else answers meanwhile.

    The caller has the shop's turn.
    """
    held = _open(tenant, now).where(InviteRow.email == email).order_by(InviteRow.created_at.desc()).limit(1)
    return session.scalars(held.with_for_update().execution_options(populate_existing=True)).first()


def note_accepted(session: Session, row: InviteRow, *, by: Actor, now: datetime) -> None:
    """Let an invitation be accepted; the caller lets the person in."""
    row.accepted_at = now
    _note(session, by, row, "invite.accept", now)


def take_back_invites(session: Session, tenant: TenantId | None, email: str, *, by: Actor, now: datetime) -> None:
    """Take back what an address has not answered; the caller has the shop's turn."""
    unanswered = (
        _of(tenant),
        InviteRow.email == email,
        InviteRow.accepted_at.is_(None),
        InviteRow.revoked_at.is_(None),
    )
    for row in session.scalars(select(InviteRow).where(*unanswered).order_by(InviteRow.id).with_for_update()):
        row.revoked_at = now
        _note(session, by, row, "invite.revoke", now)
    session.flush()


def _let_in(session: Session, row: InviteRow, member: MemberRow, way: Actor, now: datetime) -> None:
    by = as_member(way, member)
    note_accepted(session, row, by=by, now=now)
    if row.tenant_id is None:
        set_office_role(session, member.id, office_role(row.role), by=by, now=now)
    else:
        add_membership(session, member, TenantId(row.tenant_id), tenant_role(row.role), by=by, now=now)


def _made(
    session: Session, tenant: TenantId | None, email: str, role: str, by: Actor, site_url: str, now: datetime
) -> tuple[Invite, str]:
    token = new_token()
    row = InviteRow(
        id=f"inv-{secrets.token_hex(8)}",
        tenant_id=None if tenant is None else tenant.value,
        email=email,
        role=role,
        token_hash=hash_token(token),
        invited_by=by.name[:200],
        created_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(row)
    session.flush()
    link = _send(session, row, token, site_url, now)
    _note(session, by, row, "invite.create", now)
    return _record_of(row, now), link


def _send(session: Session, row: InviteRow, token: str, site_url: str, now: datetime) -> str:
    tenant = None if row.tenant_id is None else TenantId(row.tenant_id)
    place = OFFICE if tenant is None else _shop(session, tenant).name
    if mails_of_late(session, row.email, "invited", tenant=tenant, now=now) >= MAILS_AN_HOUR:
        raise TooManyRequests(f"{row.email} was sent {MAILS_AN_HOUR} invitations within an hour; wait for an hour.")
    link = f"{site_url}/invite/{token}"
    values = {
        "inviter": row.invited_by,
        "place": place,
        "role": row.role.replace("_", " "),
        "until": f"{row.expires_at:%Y-%m-%d %H:%M} UTC",
        "link": link,
    }
    queue_mail(session, row.email, "invited", values, tenant=tenant, now=now)
    return link


def _check_inviter(session: Session, by: Actor) -> None:
    """Refuse to mail strangers for somebody of whom nobody knows whether their own address is theirs."""
    if by.kind != "member":
        return
    inviter = session.get(MemberRow, by.id)
    if inviter is None or inviter.email_verified_at is None:
        raise Forbidden(
            "Your own address is not verified, so nobody is invited in your name. Open the link in the mail that you "
            "were sent, or have another sent by POST /api/v1/auth/verify/resend, and invite then."
        )


def _check_another(session: Session, tenant: TenantId, now: datetime) -> None:
    """Refuse one more open invitation than there may be, or than there are seats. The caller has the shop's turn."""
    waiting = session.scalar(select(func.count()).select_from(_open(tenant, now).subquery())) or 0
    if waiting >= MAX_OPEN:
        raise Conflict(f"{MAX_OPEN} invitations of {tenant} are open, and there cannot be more; take some back first.")
    check_seat(session, tenant, now=now)


def _taken(session: Session, token: str, now: datetime) -> tuple[InviteRow, Invite]:
    """Return the invitation of a link, which nobody else answers until the transaction ends."""
    named = InviteRow.token_hash == hash_token(token)
    shop = session.scalars(select(InviteRow.tenant_id).where(named)).first()
    if shop is not None:  # before the invitation, as whoever sends it again or takes it back
        take_turns(session, TenantId(shop))
    found = select(InviteRow).where(named).with_for_update()
    row = session.scalars(found.execution_options(populate_existing=True)).one_or_none()
    invite = _found(session, row, now).invite
    if row is None:  # `_found` has raised
        raise LinkNotValid("The invitation is not valid.")
    return row, invite


def _found(session: Session, row: InviteRow | None, now: datetime) -> OpenInvite:
    if row is None or row.accepted_at is not None or row.revoked_at is not None:
        raise LinkNotValid("The invitation is not valid, was accepted already, or was taken back. Ask for another one.")
    if now >= row.expires_at:
        raise LinkExpired("The time of this invitation is over. Ask whoever invited you for another one.")
    place = OFFICE
    if row.tenant_id is not None:
        shop = _shop(session, TenantId(row.tenant_id))
        if shop.status != "active":
            raise Forbidden(f"The shop {shop.id} is {shop.status}. Ask whoever invited you.")
        place = shop.name
    return OpenInvite(_record_of(row, now), place, member_by_email(session, row.email) is not None)


def _shop(session: Session, tenant: TenantId) -> TenantRow:
    shop = session.get(TenantRow, tenant.value)
    if shop is None:
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return shop


def _held(session: Session, tenant: TenantId | None, invite_id: str) -> InviteRow:
    """Return an invitation that nobody else changes meanwhile; the shop's turn comes first, as everywhere."""
    if tenant is not None:
        take_turns(session, tenant)
    row = session.get(InviteRow, invite_id, with_for_update=True, populate_existing=True)
    if row is None or row.tenant_id != (None if tenant is None else tenant.value):
        raise NotFound(f"There is no invitation {invite_id[:60]!r}; list the invitations to see which there are.")
    return row


def _of(tenant: TenantId | None) -> ColumnElement[bool]:
    return InviteRow.tenant_id.is_(None) if tenant is None else InviteRow.tenant_id == tenant.value


def _open(tenant: TenantId | None, now: datetime) -> Select[InviteRow]:
    return select(InviteRow).where(
        _of(tenant), InviteRow.accepted_at.is_(None), InviteRow.revoked_at.is_(None), InviteRow.expires_at > now
    )


def _record_of(row: InviteRow, now: datetime) -> Invite:
    status: InviteStatus = "open"
    if row.accepted_at is not None:
        status = "accepted"
    elif row.revoked_at is not None:
        status = "revoked"
    elif now >= row.expires_at:
        status = "expired"
    return Invite(
        id=row.id,
        tenant=None if row.tenant_id is None else TenantId(row.tenant_id),
        email=row.email,
        role=office_role(row.role) if row.tenant_id is None else tenant_role(row.role),
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        status=status,
    )


def _note(session: Session, by: Actor, row: InviteRow, action: str, now: datetime) -> None:
    fields = {"email": row.email, "role": row.role}
    change = Change(action=action, object_kind="invite", object_id=row.id, after=fields)
    record(session, by, change, tenant=None if row.tenant_id is None else TenantId(row.tenant_id), now=now)
