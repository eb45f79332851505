"""Access tokens: JWTs of 15 minutes, signed with EdDSA. They say who somebody is; what they may do is looked up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.base.errors import Unauthenticated
from resources.sessions.signing_keys import ALGORITHM, TOKEN_SECONDS, SigningKey

ISSUER = "recsaas"
AUDIENCE = "recsaas-api"
_CLOCKS_DIFFER_SECONDS = 60
_REQUIRED = ("sub", "ver", "iat", "exp", "jti", "iss", "aud")


class Acting(BaseModel):
    """Somebody of the office acts for a shop: claim `act`.

    Attributes:
        id: of the row of it, which says whether it has ended.
        tenant: for which shop; `write`: whether anything may be changed.
        reason: why; `acting_for`: the member's e-mail, or the shop where it is none. Both come from the row.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    write: bool
    reason: str = ""
    acting_for: str | None = None


class Claims(BaseModel):
    """What an access token says.

    Attributes:
        sub: the member.
        tenant, role: the shop that it is for, and the role when it was made; None for whoever belongs to none.
        ver: the member's version: tokens of an earlier one have ended.
        sid: the family of refresh tokens that it came from, with which it ends.
        iat, exp: seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    sub: str
    tenant: str | None = None
    role: str | None = None
    ver: int
    sid: str | None = None
    jti: str = Field(default_factory=lambda: secrets.token_hex(8))
    iat: int
    exp: int
    act: Acting | None = None


def looks_like_a_token(secret: str) -> bool:
    """Tell whether a credential is a token and no API key: a JWT begins with `{"` in base64."""
    return secret.startswith("eyJ")


def claims_from(
    now: datetime,
    *,
    member_id: str,
    version: int,
    shop: tuple[str, str] | None = None,
    session_id: str | None = None,
    seconds: int = TOKEN_SECONDS,
) -> Claims:
    """Return claims that hold from `now` on; `shop` is the tenant and the role there."""
    issued = int(now.timestamp())
    tenant, role = shop or (None, None)
    return Claims(
        sub=member_id, ver=version, tenant=tenant, role=role, sid=session_id, iat=issued, exp=issued + seconds
    )


def signed(claims: Claims, key: SigningKey) -> str:
    """Return the token of these claims."""
    said = claims.model_dump(exclude_none=True) | {"iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(said, key.private, algorithm=ALGORITHM, headers={"kid": key.id})


def key_id_of(token: str) -> str:
    """Return the `kid` of a token, which nobody has checked.

    Raises:
        Unauthenticated: it is no token of ours.
    """
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise not_valid() from error
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise not_valid()
    return kid


def checked_claims(token: str, find: Callable[[str], SigningKey | None], *, now: datetime) -> Claims:
    """Return what a token says, if we have signed it and it has not run out.

    The algorithm is ours, whatever the token names: `none`, and HS256 with the public key for a secret, are refused.

    Raises:
        Unauthenticated: it is not ours, or it has run out.
    """
    key = find(key_id_of(token))
    if key is None or not key.checks_at(now):
        raise not_valid()
    # Times are compared with the clock that is passed in, below.
    options: Any = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    try:
        said = jwt.decode(token, key.public, [ALGORITHM], options, audience=AUDIENCE, issuer=ISSUER)
        claims = Claims.model_validate(said)
    except (jwt.PyJWTError, ValidationError) as error:
        raise not_valid() from error
    at = now.timestamp()
    if claims.exp <= at:
        raise has_run_out()
    if claims.iat > at + _CLOCKS_DIFFER_SECONDS:
        raise not_valid()
    return claims


def not_valid() -> Unauthenticated:
    """Return the error for a token that opens nothing."""
    return Unauthenticated("The access token is not valid, or has ended. Log in again.")


def has_run_out() -> Unauthenticated:
    """Return the error for a token whose time is over."""
    return Unauthenticated("The access token has run out. Get a new one by POST /api/v1/auth/refresh, or log in again.")
