"""Bodies of the routes that links of mails lead to, and of those that ask for one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bento_service.schemas.accounts.bodies import Email, NewPassword
from bento_service.schemas.common import Answer, Body, PlainText

Token = Annotated[PlainText, Field(min_length=1, max_length=200, description="What the link of the mail ends with.")]


class ForgotBody(Body):
    """Whose password was forgotten."""

    email: Email


class ResetBody(Body):
    """A new password."""

    token: Token
    password: NewPassword


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
