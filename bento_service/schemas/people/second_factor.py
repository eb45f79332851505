"""Bodies of the routes about one's own second factor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bento_service.schemas.accounts.bodies import Password
from bento_service.schemas.common import Answer, Body, PlainText


class BeginBody(Body):
    """What shows that it is you who sets a second factor up; whoever has no password leaves it out."""

    password: Password | None = None


class CodeBody(Body):
    """A code of the authenticator; where a second factor is set up, a recovery code is taken, too."""

    code: Annotated[PlainText, Field(min_length=1, max_length=64)]


class FactorState(Answer):
    """How you log in; `required`: your role of the platform demands it."""

    enabled: bool
    required: bool
    recovery_codes_left: int


class NewFactorAnswer(Answer):
    """What an authenticator is set up with; shown only now. It counts once a code of it was confirmed."""

    secret: str
    otpauth_url: str


class RecoveryCodes(Answer):
    """Codes that stand in for the authenticator, once each; shown only now."""

    recovery_codes: tuple[str, ...]
