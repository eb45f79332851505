"""An OpenID provider: where it sends people, and what it says of whoever comes back.

Every request to it has a timeout and runs on the event loop, so that a provider that hangs holds up nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from bento_service.sso.keys import ProviderKeys
from resources.base.errors import InvalidInput, SsoRefused, SsoUnavailable
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.people.members import one_email
from resources.sessions.sso_login import Identity

TIMEOUT_SECONDS = 5.0
DISCOVERY_SECONDS = 3600.0
LEEWAY_SECONDS = 30
"""By so much the provider's clock may be wrong."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_log = structlog.get_logger("recsaas.sso")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Which provider, and who we are there. `with_roles`: what `roles_claim` says decides what people may do."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str = "openid email profile"
    roles_claim: str = "groups"
    with_roles: bool = False

    @classmethod
    def of(cls, settings: Settings) -> ProviderSettings | None:
        """Return what is set; None where there is no provider."""
        if not settings.oidc_issuer or not settings.oidc_client_id:
            return None
        return cls(
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_client_secret,
            settings.oidc_scopes,
            settings.oidc_roles_claim,
            bool(settings.oidc_roles),
        )


@dataclass(frozen=True, slots=True)
class Trip:
    """One way to the provider and back: what has to be the same on both.

    Attributes:
        verifier: the secret of PKCE, whose hash goes to the provider.
        redirect_uri: where the provider sends the person back to.
    """

    state: str
    nonce: str
    verifier: str = field(repr=False)
    redirect_uri: str


class OpenIdProvider:
    """The provider of one installation; belongs to the event loop. Nothing is asked of it before somebody logs in."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = ProviderKeys(self._fetch_keys)
        self._document: Mapping[str, Any] | None = None
        self._document_at = 0.0

    async def address_for(self, trip: Trip) -> str:
        """Return where the person is sent to.

        Raises:
            SsoUnavailable: the provider does not answer, or not as it should.
        """
        document = await self._discovered()
        address = prepare_grant_uri(
            document["authorization_endpoint"],
            self._settings.client_id,
            "code",
            redirect_uri=trip.redirect_uri,
            scope=self._settings.scopes,
            state=trip.state,
            nonce=trip.nonce,
            code_challenge=create_s256_code_challenge(trip.verifier),
            code_challenge_method="S256",
        )
        return str(address)

    async def identity(self, code: str, trip: Trip) -> Identity:
        """Return who somebody is that came back with `code`.

        Raises:
            SsoRefused: the code or the provider's answer does not count: another audience, nonce or issuer, too old, or
                not signed by the provider.
            SsoUnavailable: the provider does not answer, or not as it should.
        """
        document = await self._discovered()
        token = await self._token(document["token_endpoint"], code, trip)
        claims = await self._claims(token, trip)
        if self._is_silent(claims) and (endpoint := document.get("userinfo_endpoint")):
            told = await self._get_json(endpoint, access_token=str(token.get("access_token", "")))
            if told.get("sub") != claims["sub"]:
                raise SsoRefused("The SSO provider tells of another person than it let in. Log in again.")
            # Whether an address is verified counts for that address alone, so both are of one of the two.
            address = claims if "email" in claims else told
            claims = {**told, **claims, **{name: address.get(name) for name in ("email", "email_verified")}}
        return self._identity(claims)

    def _is_silent(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether a token leaves out what we have to know: many providers say it in userinfo alone."""
        mine = self._settings
        return "email" not in claims or (mine.with_roles and mine.roles_claim not in claims)

    async def _claims(self, token: Mapping[str, Any], trip: Trip) -> Mapping[str, Any]:
        decoded = await self._keys.checked(str(token.get("id_token", "")))
        mine = self._settings
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": mine.issuer},
                "aud": {"essential": True, "value": mine.client_id},
                "sub": {"essential": True},
                "exp": {"essential": True},
                "iat": {"essential": True},
            },
            params={"nonce": trip.nonce, "client_id": mine.client_id, "access_token": token.get("access_token")},
        )
        try:
            claims.validate(now=int(self._clock().timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, AuthlibBaseError) as error:
            _log.warning("sso_token_refused", kind=type(error).__name__, claim=getattr(error, "claim", None))
            raise SsoRefused("What the SSO provider sent is not for this log-in, or too old.") from error
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        try:
            email = one_email(str(claims.get("email") or ""))
        except InvalidInput:
            email = ""
        groups = claims.get(self._settings.roles_claim)
        values = groups if isinstance(groups, list | tuple) else [groups] if isinstance(groups, str) else []
        return Identity(
            issuer=self._settings.issuer,
            subject=str(claims["sub"])[:255],
            email=email,
            email_verified=claims.get("email_verified") is True and bool(email),
            name=str(claims.get("name") or ""),
            groups=frozenset(str(each) for each in values),
        )

    async def _discovered(self) -> Mapping[str, Any]:
        """Return the provider's own description of itself, fetched at most once an hour."""
        if self._document is not None and monotonic() - self._document_at < DISCOVERY_SECONDS:
            return self._document
        issuer = self._settings.issuer
        document = await self._get_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise SsoUnavailable(
                f"The SSO provider calls itself {str(document.get('issuer'))[:200]!r}. Set RECSAAS_OIDC_ISSUER to "
                "that, if it is the right one."
            )
        if missing := [name for name in _NEEDED if not _is_safe(str(document.get(name, "")))]:
            raise SsoUnavailable(f"The SSO provider tells no https address as {missing[0]}. Ask whoever runs it.")
        self._document, self._document_at = document, monotonic()
        return document

    async def _fetch_keys(self) -> Mapping[str, Any]:
        return await self._get_json((await self._discovered())["jwks_uri"])

    async def _get_json(self, address: str, *, access_token: str = "") -> dict[str, Any]:
        if not _is_safe(address):
            raise SsoUnavailable("The SSO provider has to be reached by https: set RECSAAS_OIDC_ISSUER accordingly.")
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                answer = await client.get(address, headers=headers)
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._away(error) from error
        if not isinstance(found, dict):
            raise self._away(TypeError("no object"))
        return found

    async def _token(self, address: str, code: str, trip: Trip) -> dict[str, Any]:
        """Change the code for tokens."""
        mine = self._settings
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trip.redirect_uri,
            "code_verifier": trip.verifier,
        }
        login = httpx.Auth()
        if mine.client_secret:  # RFC 6749, 2.3.1: both are written as in a form first
            login = httpx.BasicAuth(quote(mine.client_id, safe=""), quote(mine.client_secret, safe=""))
        else:
            sent["client_id"] = mine.client_id
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                answer = await client.post(address, data=sent, auth=login)
                if 400 <= answer.status_code < 500:  # a code that was used, or is another client's
                    _log.warning("sso_code_refused", status=answer.status_code)
                    raise SsoRefused("The SSO provider did not take the code. Log in again.")
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._away(error) from error
        if not isinstance(found, dict) or not isinstance(found.get("id_token"), str):
            raise self._away(TypeError("no token"))
        return found

    def _away(self, error: Exception) -> SsoUnavailable:
        _log.warning("sso_provider_away", kind=type(error).__name__)
        return SsoUnavailable("The SSO provider does not answer as it should. Try again, or ask the operator.")


def provider_of(settings: Settings, clock: Clock) -> OpenIdProvider | None:
    """Return the provider that is set; None where there is none."""
    found = ProviderSettings.of(settings)
    return None if found is None else OpenIdProvider(found, clock)


def _is_safe(address: str) -> bool:
    """Tell whether nobody on the way can change what comes from an address: https, or this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
