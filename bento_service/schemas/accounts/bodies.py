"""Bodies of the routes about people who log in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bento_service.schemas.common import Body, PlainText, Text
from resources.people.passwords import LEAST_CHARACTERS, MOST_CHARACTERS

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
