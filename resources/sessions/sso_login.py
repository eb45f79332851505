"""Logging in by what an OpenID provider says of somebody.

Somebody is known again by the provider's own name of them, never by the address alone: addresses are given to others.
The first time, a verified address finds the member. What the account had before its address was verified may be
somebody else's, who made it to wait for its owner: that password and second factor go then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.roles import OFFICE_ROLES, OfficeRole, TenantRole, office_role, tenant_role
from resources.audit.entries import Change, record
from resources.base.errors import SsoRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import InviteRow, MemberRow
from resources.control_db.tables.tenants import TenantRow
from resources.people.members import end_everything, hold_member, member_by_email, new_member, set_office_role
from resources.people.memberships import add_membership, memberships_of, role_in
from resources.people.second_factor import forget_second_factor
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
        invite = _office_invite(session, identity, now)
        member = _known(session, identity)
        if member is None or (member.office_role is None and invite is None):
            if invite is None:
                raise SsoRefused("Nobody has invited this address to the office. Ask a super admin to invite it.")
            member = member or _made(session, identity, now)
        _link(session, member, identity, client, now)
        role = _role(identity, rules) if rules.roles else None
        if rules.roles and role is None:
            raise SsoRefused("None of your groups at the provider has a role here. Ask a super admin.")
        if invite is not None:
            invite.accepted_at = now
            role = role or office_role(invite.role)
        if role is not None:
            set_office_role(session, member.id, role, by=client.actor(member), now=now)
        return begin_login(session, member, None, begin, client, by="sso", now=now)


def log_in_to_shop(
    db: ControlDb, identity: Identity, tenant: TenantId, begin: Begin[Result], client: LoginClient, *, now: datetime
) -> Result:
    """Let somebody into a shop whose settings allow it to their domain; the first time they become its member.

    Raises:
        SsoRefused: the shop does not let them in.
    """
    with db.write() as session:
        row = session.get(TenantRow, tenant.value)
        settings = None if row is None else read_settings(row.settings).settings.login
        if row is None or settings is None or not settings.sso or row.status != "active":
            raise SsoRefused("This shop has no log-in by SSO. Log in with your password, or ask its owner.")
        if not identity.email_verified or identity.domain not in settings.sso_domains:
            raise SsoRefused("Addresses of your domain do not log in to this shop. Ask its owner for an invitation.")
        member = _known(session, identity) or _made(session, identity, now)
        _link(session, member, identity, client, now)
        if role_in(session, member.id, tenant) is None:
            role: TenantRole = tenant_role(settings.sso_role)
            add_membership(session, member, tenant, role, by=client.actor(member), now=now)
        shops = memberships_of(session, member.id)
        membership = next(each for each in shops if each.tenant == tenant)
        return begin_login(session, member, membership, begin, client, by="sso", now=now)


def _known(session: Session, identity: Identity) -> MemberRow | None:
    """Return the member, held: by the provider's name of them, else by an address that the provider has verified."""
    same = (MemberRow.sso_issuer == identity.issuer, MemberRow.sso_subject == identity.subject)
    found = session.scalars(select(MemberRow).where(*same)).one_or_none()
    if found is None and identity.email_verified and identity.email:
        found = member_by_email(session, identity.email)
    return None if found is None else hold_member(session, found.id)


def _made(session: Session, identity: Identity, now: datetime) -> MemberRow:
    if not identity.email_verified or not identity.email:
        raise SsoRefused("The provider has not verified your e-mail address. Have it verified there, and come back.")
    return new_member(
        session, email=identity.email, name=identity.name[:200], password_hash=None, verified=True, now=now
    )


def _link(session: Session, member: MemberRow, identity: Identity, client: LoginClient, now: datetime) -> None:
    """Note who the member is at the provider.

    Raises:
        SsoRefused: the member is suspended, or the provider knew them by another name.
    """
    if member.status != "active":
        raise SsoRefused("Your account is suspended. Ask the operator of this service to resume it.")
    before = (member.sso_issuer, member.sso_subject)
    if before == (identity.issuer, identity.subject):
        return
    if before != (None, None):
        raise SsoRefused("Your address belongs to another person at the provider of SSO. Ask the operator.")
    member.sso_issuer, member.sso_subject = identity.issuer, identity.subject
    if member.email_verified_at is None:
        member.email_verified_at, member.password_hash = now, None
        forget_second_factor(session, member)
        end_everything(member)
    change = Change(action="member.sso", object_kind="member", object_id=member.id, after={"issuer": identity.issuer})
    record(session, client.actor(member), change, tenant=None, now=now)


def _office_invite(session: Session, identity: Identity, now: datetime) -> InviteRow | None:
    """Return the open invitation of a verified address into the office, the newest first."""
    if not identity.email_verified:
        return None
    invited = select(InviteRow).where(
        InviteRow.tenant_id.is_(None),
        InviteRow.email == identity.email,
        InviteRow.accepted_at.is_(None),
        InviteRow.revoked_at.is_(None),
        InviteRow.expires_at > now,
    )
    return session.scalars(invited.order_by(InviteRow.created_at.desc()).limit(1).with_for_update()).first()


def _role(identity: Identity, rules: OfficeRules) -> OfficeRole | None:
    """Return the role with the most rights among those of the groups."""
    found = {rules.roles[group] for group in identity.groups if group in rules.roles}
    return next((role for role in reversed(OFFICE_ROLES) if role in found), None)
