"""Bodies of the routes about invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bento_service.schemas.accounts.bodies import Code, Email, Password
from bento_service.schemas.common import Answer, Body, PlainText, Text
from resources.people.invites import Invite, InviteStatus, OpenInvite

Role = Annotated[PlainText, Field(min_length=1, max_length=32, examples=["editor"])]
"""A role by its name; `member` is an old name of `editor`."""
Name = Annotated[PlainText, Field(max_length=200)]


class InviteBody(Body):
    """Somebody to invite."""

    email: Email
    role: Annotated[Role, Field(description="viewer, editor, admin or owner; none above your own.")]
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")


class AcceptBody(Body):
    """What somebody says who accepts: name and password for a new account, or the password of the one they have.

    Whoever sends an access token needs neither.
    """

    name: Name = ""
    password: Password | None = None
    code: Code | None = None


class InviteAnswer(Answer):
    """One invitation."""

    id: str
    email: str
    role: str
    status: InviteStatus
    invited_by: str
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invite: Invite) -> InviteAnswer:
        """Show an invitation."""
        return cls(
            id=invite.id,
            email=invite.email,
            role=invite.role,
            status=invite.status,
            invited_by=invite.invited_by,
            created_at=invite.created_at,
            expires_at=invite.expires_at,
        )


class InvitePage(Answer):
    """Invitations that wait, newest first."""

    invites: tuple[InviteAnswer, ...]
    next_cursor: str | None = None


class OpenInviteAnswer(Answer):
    """What a link invites to; `tenant_id` is null where it leads into the office of the platform."""

    email: str
    role: str
    tenant_id: str | None
    place: str
    invited_by: str
    expires_at: datetime
    has_account: bool

    @classmethod
    def of(cls, found: OpenInvite) -> OpenInviteAnswer:
        """Show what the invited person may know."""
        return cls(
            email=found.invite.email,
            role=found.invite.role,
            tenant_id=None if found.invite.tenant is None else found.invite.tenant.value,
            place=found.place,
            invited_by=found.invite.invited_by,
            expires_at=found.invite.expires_at,
            has_account=found.has_account,
        )


class Accepted(Answer):
    """Who has come in, where, and as what. To go on: `POST /api/v1/auth/login`."""

    member_id: str
    email: str
    tenant_id: str | None
    role: str
