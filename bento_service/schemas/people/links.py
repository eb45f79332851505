"""Bodies of the routes that links of mails lead to, and of those that ask for one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bento_service.schemas.common import Answer, Body, PlainText

Email = Annotated[PlainText, Field(min_length=3, max_length=320, examples=["jane@example.com"])]
Token = Annotated[PlainText, Field(min_length=1, max_length=200, description="What the link of the mail ends with.")]
Password = Annotated[PlainText, Field(min_length=1, max_length=800)]
"""A password as it is sent; whether it is good enough is decided where it is set."""


class ForgotBody(Body):
    """Whose password was forgotten."""

    email: Email


class ResetBody(Body):
    """A new password."""

    token: Token
    password: Annotated[Password, Field(description="12 to 200 characters, none that is tried first.")]


class VerifyBody(Body):
    """What shows that an address is one's own."""

    token: Token


class MailPromised(Answer):
    """A mail is on its way, if there is anybody to send it to."""

    status: Literal["accepted"] = "accepted"


class OfMember(Answer):
    """Whom it was about."""

    id: str
    email: str
