"""Logging in by what an OpenID provider says of somebody.

Somebody is known again by the provider's own name of them, never by the address alone: addresses are given to others.
The first time, a verified address finds the member. What the account had before its address was verified may be
somebody else's, who made it to wait for its owner: that password and second factor go then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.roles import OFFICE_ROLES, OfficeRole, TenantRole, office_role, tenant_role
from resources.audit.entries import Change, record
from resources.base.errors import QuotaExceeded, SsoRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import InviteRow, MemberRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.people.invites import note_accepted, open_invite_of
from resources.people.members import (
    end_everything,
    hold_member,
    hold_with_admins,
    member_by_email,
    new_member,
    set_office_role,
)
from resources.people.memberships import add_membership, memberships_of, role_in
from resources.people.second_factor import forget_second_factor
from resources.plans.checks import check_seat
from resources.sessions.login import Begin, Result, begin_login
from resources.sessions.refresh_tokens import LoginClient
from resources.tenants.stored_settings import read_settings


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as the provider says.

    Attributes:
        subject: the provider's name of the person, which is never given to another.
        email: in its one form; empty where the provider tells none.
        groups: values of the claim that roles come from.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)

    @property
    def domain(self) -> str:
        """What stands behind the `@` of the address."""
        return self.email.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class OfficeRules:
    """Who may come into the office: the domains of addresses (none: any), and the role that a group has."""

    domains: frozenset[str]
    roles: Mapping[str, OfficeRole]


def log_in_to_office(
    db: ControlDb, identity: Identity, rules: OfficeRules, begin: Begin[Result], client: LoginClient, *, now: datetime
) -> Result:
    """Let somebody of the platform in, who was before or was invited; the role is that of their groups.

    Raises:
        SsoRefused: the domain, the groups or the want of an invitation keep the person out.
        Conflict: their groups would take the role from the last super admin.
    """
    if rules.domains and not (identity.email_verified and identity.domain in rules.domains):
        raise SsoRefused("Addresses of your domain may not log in to this office. Ask a super admin.")
    with db.write() as session:
        invite = open_invite_of(session, None, identity.email, now) if identity.email_verified else None
        member = _known(session, identity, hold_with_admins)
        if member is None or (member.office_role is None and invite is None):
            if invite is None:
                raise SsoRefused("Nobody has invited this address to the office. Ask a super admin to invite it.")
            member = member or _made(session, identity, None, client, now)
        linked = _link(session, member, identity, now)
        role = _role(identity, rules) if rules.roles else None
        if rules.roles and role is None:
            raise SsoRefused("None of your groups at the provider has a role here. Ask a super admin.")
        if invite is not None:
            note_accepted(session, invite, by=client.actor(member), now=now)
            role = role or office_role(invite.role)
        if role is not None:
            set_office_role(session, member.id, role, by=client.actor(member), now=now)
        if linked:
            _note_link(session, member, client, now)
        return begin_login(session, member, None, begin, client, way="sso", now=now)


def log_in_to_shop(
    db: ControlDb, identity: Identity, tenant: TenantId, begin: Begin[Result], client: LoginClient, *, now: datetime
) -> Result:
    """Let somebody into a shop whose settings allow it to their domain; the first time they become its member.

    Raises:
        SsoRefused: the shop does not let them in.
    """
    with db.write() as session:
        take_turns(session, tenant)  # the shop comes first, then the person, then its audit log and the platform's
        row = session.get(TenantRow, tenant.value)
        settings = None if row is None else read_settings(row.settings).settings.login
        if row is None or settings is None or not settings.sso or row.status != "active":
            raise SsoRefused("This shop has no log-in by SSO. Log in with your password, or ask its owner.")
        if not identity.email_verified or identity.domain not in settings.sso_domains:
            raise SsoRefused("Addresses of your domain do not log in to this shop. Ask its owner for an invitation.")
        invite = open_invite_of(session, tenant, identity.email, now)
        member = _known(session, identity, hold_member) or _made(session, identity, tenant, client, now)
        linked = _link(session, member, identity, now)
        if role_in(session, member.id, tenant) is None:
            _let_in(session, member, tenant, invite, tenant_role(settings.sso_role), client, now)
        shops = memberships_of(session, member.id)
        membership = next(each for each in shops if each.tenant == tenant)
        result = begin_login(session, member, membership, begin, client, way="sso", now=now)
        if linked:
            _note_link(session, member, client, now)
        return result


def _let_in(
    session: Session, member: MemberRow, tenant: TenantId, invite: InviteRow | None, role: TenantRole,
    client: LoginClient, now: datetime,
) -> None:  # fmt: skip
    """Let somebody into the shop: by an invitation, whose role and seat are theirs, or by the settings.

    Raises:
        SsoRefused: there is no invitation, and no seat either.
    """
    by = client.actor(member)
    if invite is not None:
        role = tenant_role(invite.role)
        note_accepted(session, invite, by=by, now=now)
    else:
        try:
            check_seat(session, tenant, now=now)
        except QuotaExceeded as error:
            raise SsoRefused("All seats of this shop are taken. Ask its owner for one.") from error
    add_membership(session, member, tenant, role, by=by, now=now)


def _known(session: Session, identity: Identity, hold: Callable[[Session, str], MemberRow]) -> MemberRow | None:
    """Return the member, held: by the provider's name of them, else by an address that the provider has verified."""
    same = (MemberRow.sso_issuer == identity.issuer, MemberRow.sso_subject == identity.subject)
    found = session.scalars(select(MemberRow).where(*same)).one_or_none()
    if found is None and identity.email_verified and identity.email:
        found = member_by_email(session, identity.email)
    return None if found is None else hold(session, found.id)


def _made(
    session: Session, identity: Identity, tenant: TenantId | None, client: LoginClient, now: datetime
) -> MemberRow:
    if not identity.email_verified or not identity.email:
        raise SsoRefused("The provider has not verified your e-mail address. Have it verified there, and come back.")
    name = identity.name[:200]
    member = new_member(session, email=identity.email, name=name, password_hash=None, verified=True, now=now)
    change = Change(action="member.create", object_kind="member", object_id=member.id, after={"email": member.email})
    record(session, client.actor(member), change, tenant=tenant, now=now)
    return member


def _link(session: Session, member: MemberRow, identity: Identity, now: datetime) -> bool:
    """Note who the member is at the provider, where it is not known; tell whether it was not, for the audit log.

    Raises:
        SsoRefused: the member is suspended, or the provider knew them by another name.
    """
    if member.status != "active":
        raise SsoRefused("Your account is suspended. Ask the operator of this service to resume it.")
    before = (member.sso_issuer, member.sso_subject)
    if before == (identity.issuer, identity.subject):
        return False
    if before != (None, None):
        raise SsoRefused("Your address belongs to another person at the provider of SSO. Ask the operator.")
    member.sso_issuer, member.sso_subject = identity.issuer, identity.subject
    if member.email_verified_at is None:
        member.email_verified_at, member.password_hash = now, None
        forget_second_factor(session, member)
        end_everything(member)
    return True


def _note_link(session: Session, member: MemberRow, client: LoginClient, now: datetime) -> None:
    change = Change(action="member.sso", object_kind="member", object_id=member.id, after={"issuer": member.sso_issuer})
    record(session, client.actor(member), change, tenant=None, now=now)


def _role(identity: Identity, rules: OfficeRules) -> OfficeRole | None:
    """Return the role with the most rights among those of the groups."""
    found = {rules.roles[group] for group in identity.groups if group in rules.roles}
    return next((role for role in reversed(OFFICE_ROLES) if role in found), None)
