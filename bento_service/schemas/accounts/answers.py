"""Answers of the routes about people who log in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bento_service.schemas.common import Answer
from resources.control_db.tables.people import MemberRow
from resources.people.memberships import Membership
from resources.sessions.open_sessions import OpenSession
from resources.sessions.refresh_tokens import Refreshed
from resources.sessions.signing_keys import TOKEN_SECONDS
from resources.sessions.standing import Standing


class UserAnswer(Answer):
    """A person."""

    id: str
    email: str
    name: str
    email_verified: bool
    second_factor: bool
    office_role: str | None
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, member: MemberRow) -> UserAnswer:
        """Show a member."""
        return cls(
            id=member.id,
            email=member.email,
            name=member.name,
            email_verified=member.email_verified_at is not None,
            second_factor=member.totp_confirmed_at is not None,
            office_role=member.office_role,
            created_at=member.created_at,
            last_login_at=member.last_login_at,
        )


class MembershipAnswer(Answer):
    """One shop of a person, and the role there."""

    tenant_id: str
    tenant_name: str
    tenant_status: str
    role: str

    @classmethod
    def of(cls, membership: Membership) -> MembershipAnswer:
        """Show a membership."""
        return cls(
            tenant_id=membership.tenant.value,
            tenant_name=membership.tenant_name,
            tenant_status=membership.tenant_status,
            role=membership.role,
        )


class LoginAnswer(Answer):
    """Tokens of a person: `access_token` goes into the header `Authorization`, `refresh_token` gives one new pair."""

    access_token: str
    refresh_token: str
    expires_in: int = TOKEN_SECONDS
    token_type: Literal["Bearer"] = "Bearer"
    tenant_id: str | None
    user: UserAnswer
    memberships: tuple[MembershipAnswer, ...]

    @classmethod
    def of(cls, refreshed: Refreshed, access_token: str) -> LoginAnswer:
        """Show tokens."""
        return cls(
            access_token=access_token,
            refresh_token=refreshed.token,
            tenant_id=None if refreshed.membership is None else refreshed.membership.tenant.value,
            user=UserAnswer.of(refreshed.member),
            memberships=tuple(map(MembershipAnswer.of, refreshed.memberships)),
        )


class MeAnswer(Answer):
    """Who asks, in which shop, and what they may do there and over all shops."""

    user: UserAnswer
    tenant_id: str | None
    role: str | None
    permissions: tuple[str, ...]
    office_permissions: tuple[str, ...]
    memberships: tuple[MembershipAnswer, ...]

    @classmethod
    def of(cls, member: MemberRow, shops: tuple[Membership, ...], standing: Standing) -> MeAnswer:
        """Show a person."""
        return cls(
            user=UserAnswer.of(member),
            tenant_id=None if standing.tenant is None else standing.tenant.value,
            role=standing.role,
            permissions=tuple(sorted(standing.permissions)),
            office_permissions=tuple(sorted(standing.office_permissions)),
            memberships=tuple(map(MembershipAnswer.of, shops)),
        )


class SessionAnswer(Answer):
    """One place where a person is logged in; `current` is the one that asks."""

    id: str
    kind: Literal["token", "browser"]
    address: str
    browser: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool

    @classmethod
    def of(cls, session: OpenSession, current: str | None) -> SessionAnswer:
        """Show a session."""
        return cls(
            id=session.id,
            kind=session.kind,
            address=session.address,
            browser=session.browser,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            current=session.id == current,
        )


class SessionList(Answer):
    """Where a person is logged in, newest use first."""

    sessions: tuple[SessionAnswer, ...]
