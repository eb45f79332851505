"""Bodies of the routes about the people of a shop and of the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bento_service.schemas.accounts.bodies import Email, NewPassword
from bento_service.schemas.common import Answer, Body, PlainText, Text
from bento_service.schemas.people.invites import InviteAnswer, Role
from resources.people.directory import Person
from resources.people.members import Member, MemberStatus
from resources.people.memberships import TeamMember


class MemberPatch(Body):
    """The role that a member is to have."""

    role: Role
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")


class OwnershipBody(Body):
    """Who is to be the owner in your place."""

    member_id: Annotated[PlainText, Field(min_length=1, max_length=64)]


class AccountBody(Body):
    """Somebody to make an account for; with a role of the platform, `tenant_id` is left out."""

    email: Email
    password: NewPassword
    role: Role
    name: Annotated[PlainText, Field(max_length=200)] = ""
    tenant_id: Text | None = Field(default=None, description="The shop; left out, the credential's.")


class OfficeInviteBody(Body):
    """Somebody to invite to work for the platform."""

    email: Email
    role: Annotated[Role, Field(description="developer, support_agent or super_admin.")]


class OfficePatch(Body):
    """What of somebody of the platform is to be another."""

    role: Role | None = None
    status: MemberStatus | None = None


class MemberAnswer(Answer):
    """Somebody of a shop."""

    id: str
    email: str
    name: str
    role: str
    status: str
    second_factor: bool
    since: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, each: TeamMember) -> MemberAnswer:
        """Show a member of a team."""
        return cls(
            id=each.id,
            email=each.email,
            name=each.name,
            role=each.role,
            status=each.status,
            second_factor=each.second_factor,
            since=each.since,
            last_login_at=each.last_login_at,
        )


class MemberPage(Answer):
    """The people of a shop, by e-mail."""

    members: tuple[MemberAnswer, ...]
    next_cursor: str | None = None


class KeyOfMember(Answer):
    """A key that somebody made; it stays as it is."""

    id: str
    name: str
    key_prefix: str


class MemberRemoved(Answer):
    """Who is out; `api_keys` are those that they made and that still open the shop."""

    id: str
    email: str
    removed: bool = True
    api_keys: tuple[KeyOfMember, ...] = ()


class ShopOfAccount(Answer):
    """A shop of somebody, and the role there."""

    tenant_id: str
    role: str


class AccountAnswer(Answer):
    """Somebody with an account, with the shops that whoever asks may know of."""

    id: str
    email: str
    name: str
    status: str
    office_role: str | None
    second_factor: bool
    created_at: datetime
    last_login_at: datetime | None
    shops: tuple[ShopOfAccount, ...]

    @classmethod
    def of(cls, person: Person) -> AccountAnswer:
        """Show a person."""
        return cls(
            **_of(person.member),
            shops=tuple(ShopOfAccount(tenant_id=tenant, role=role) for tenant, role in person.shops),
        )


class AccountPage(Answer):
    """People, by id."""

    users: tuple[AccountAnswer, ...]
    next_cursor: str | None = None


class OfficeMember(Answer):
    """Somebody of the platform."""

    id: str
    email: str
    name: str
    status: str
    office_role: str | None
    second_factor: bool
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, member: Member) -> OfficeMember:
        """Show somebody of the platform."""
        return cls(**_of(member))


class OfficePeople(Answer):
    """Who works for the platform, by e-mail, and who is invited to."""

    people: tuple[OfficeMember, ...]
    invites: tuple[InviteAnswer, ...]


def _of(member: Member) -> dict[str, object]:
    return {
        "id": member.id,
        "email": member.email,
        "name": member.name,
        "status": member.status,
        "office_role": member.office_role,
        "second_factor": member.second_factor,
        "created_at": member.created_at,
        "last_login_at": member.last_login_at,
    }
