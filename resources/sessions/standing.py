"""What the bearer of an access token may do now: the member, the role and the shop, as the control DB has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from resources.access.roles import (
    FORBIDDEN_WHILE_ACTING,
    PERMISSIONS_OF_OFFICE,
    PERMISSIONS_OF_ROLE,
    OfficeRole,
    TenantRole,
    office_role,
    tenant_role,
)
from resources.acting.acting import ActingFor, open_acting
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow, MembershipRow
from resources.control_db.tables.sessions import RefreshTokenRow
from resources.control_db.tables.tenants import TenantRow
from resources.sessions.access_tokens import Acting, Claims


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody who has logged in.

    Attributes:
        tenant: the shop of the token; None for whoever belongs to none. `tenant_status` is the shop's.
        role: in that shop; None without one, and for somebody of the office who acts for it.
        permissions: in that shop.
        office_permissions: over all shops, by the role of the platform; empty while acting.
        second_factor: whether the member logs in with a code, too.
        session_id: the family of refresh tokens, or of an own kind of session.
        acting: for whom somebody of the office acts.
        expires_at: when the token runs out, in seconds since 1970.
    """

    member_id: str
    email: str
    tenant: TenantId | None
    tenant_status: str
    role: TenantRole | None
    permissions: frozenset[str]
    office_role: OfficeRole | None
    office_permissions: frozenset[str]
    second_factor: bool
    session_id: str | None
    acting: Acting | None
    expires_at: float


def standing_of(session: Session, claims: Claims, *, now: datetime) -> Standing | None:
    """Return what the bearer of these claims may do; None where that has ended.

    It has where the member is suspended, gone, no member of the shop any more, has a new password or has logged out.
    """
    named = claims.act.tenant if claims.act is not None else claims.tenant
    statement = (
        select(MemberRow, MembershipRow.role, TenantRow.status)
        .select_from(MemberRow)
        .outerjoin(TenantRow, TenantRow.id == (named or ""))
        .outerjoin(
            MembershipRow, (MembershipRow.member_id == MemberRow.id) & (MembershipRow.tenant_id == (named or ""))
        )
        .where(MemberRow.id == claims.sub, MemberRow.status == "active", MemberRow.version == claims.ver)
    )
    if claims.sid is not None:
        statement = statement.where(
            exists().where(
                RefreshTokenRow.family == claims.sid,
                RefreshTokenRow.revoked_at.is_(None),
                RefreshTokenRow.expires_at > now,
            )
        )
    found = session.execute(statement).one_or_none()
    if found is None:
        return None
    member, role, status = found
    office = None if member.office_role is None else office_role(member.office_role)
    if claims.act is not None:
        # The row is asked in the same moment as everything else, so that what has ended holds as soon as a log-out.
        open_now = open_acting(session, claims.act.id, now=now)
        if open_now is None or open_now.actor_id != member.id or open_now.tenant.value != claims.act.tenant:
            return None
        return _acting(claims, open_now, member, office, status)
    if named is not None and (role is None or status is None):
        return None
    return Standing(
        member_id=member.id,
        email=member.email,
        tenant=None if named is None else TenantId(named),
        tenant_status=status or "",
        role=None if role is None else tenant_role(role),
        permissions=frozenset() if role is None else PERMISSIONS_OF_ROLE[tenant_role(role)],
        office_role=office,
        office_permissions=frozenset() if office is None else frozenset(PERMISSIONS_OF_OFFICE[office]),
        second_factor=member.totp_confirmed_at is not None,
        session_id=claims.sid,
        acting=None,
        expires_at=float(claims.exp),
    )


def permissions_while_acting(*, write: bool) -> frozenset[str]:
    """Return what somebody of the office may do in a shop that they act for."""
    role: TenantRole = "admin" if write else "viewer"
    return PERMISSIONS_OF_ROLE[role] - FORBIDDEN_WHILE_ACTING


def _acting(
    claims: Claims, act: ActingFor, member: MemberRow, office: OfficeRole | None, tenant_status: str | None
) -> Standing | None:
    may = frozenset() if office is None else PERMISSIONS_OF_OFFICE[office]
    if tenant_status is None or ("act:write" if act.writes else "act:read") not in may:
        return None
    return Standing(
        member_id=member.id,
        email=member.email,
        tenant=act.tenant,
        tenant_status=tenant_status,
        role=None,
        # Never more than the member has whose view it is.
        permissions=permissions_while_acting(write=act.writes) & PERMISSIONS_OF_ROLE[act.role],
        office_role=office,
        office_permissions=frozenset(),
        second_factor=member.totp_confirmed_at is not None,
        session_id=claims.sid,
        acting=Acting(
            id=act.id, tenant=act.tenant.value, write=act.writes, reason=act.reason, acting_for=act.acting_for
        ),
        expires_at=float(claims.exp),
    )
