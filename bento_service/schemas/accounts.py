"""Bodies and answers of the routes about people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bento_service.schemas.common import Answer, Body, PlainText, Text
from resources.control_db.tables.people import MemberRow
from resources.people.memberships import Membership
from resources.people.passwords import LEAST_CHARACTERS, MOST_CHARACTERS
from resources.sessions.open_sessions import OpenSession
from resources.sessions.refresh_tokens import Refreshed
from resources.sessions.signing_keys import TOKEN_SECONDS
from resources.sessions.standing import Standing

Email = Annotated[PlainText, Field(min_length=3, max_length=320, examples=["jane@example.com"])]
Password = Annotated[str, Field(min_length=1, max_length=1000)]
NewPassword = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1000,
        description=f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} characters, not common, without the name in the address.",
    ),
]
Code = Annotated[PlainText, Field(max_length=64, description="Six digits of the authenticator, or a recovery code.")]
RefreshToken = Annotated[PlainText, Field(min_length=1, max_length=512)]


class NewShopBody(Body):
    """The shop to make."""

    name: Annotated[PlainText, Field(min_length=1, max_length=200, description="Name for people.")]
    slug: Annotated[
        PlainText, Field(min_length=1, max_length=63, description="The tenant's id: `a-z`, `0-9` and dashes.")
    ]
    currency: Annotated[PlainText, Field(max_length=3, description="ISO 4217, such as EUR.")] | None = None
    timezone: Annotated[PlainText, Field(max_length=64, description="IANA name, such as Europe/Berlin.")] | None = None


class SignupBody(Body):
    """A person and the shop of which they are to be the owner."""

    email: Email
    password: NewPassword
    name: Annotated[PlainText, Field(max_length=200, description="The person's name.")] = ""
    tenant: NewShopBody
    code: Code | None = None


class LoginBody(Body):
    """What somebody logs in with; `tenant_id` is the shop to go to, else the one of last time."""

    email: Email
    password: Password
    code: Code | None = None
    tenant_id: Text | None = None


class RefreshBody(Body):
    """A refresh token, and the shop to change to."""

    refresh_token: RefreshToken
    tenant_id: Text | None = None


class LogoutBody(Body):
    """The refresh token of the log-in that ends."""

    refresh_token: RefreshToken


class PasswordChangeBody(Body):
    """The password that there is, and the one to be."""

    current_password: Password
    new_password: NewPassword


class MePatch(Body):
    """Changes of what a person says of themselves."""

    name: Annotated[PlainText, Field(max_length=200)] | None = None


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
