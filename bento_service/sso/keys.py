"""The keys that a provider signs with: fetched when one is not known, at most once a minute, and by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from resources.base.errors import SsoRefused, SsoUnavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key pair alone: never `none`, and never a shared secret, for which a public key could be taken."""
FETCH_EVERY_SECONDS = 60.0
"""Somebody who sends tokens with invented key ids makes us ask the provider no more often."""
RETRY_SECONDS = 5.0
"""How long nobody asks a provider again that did not answer: as long as a request to it may take."""


class ProviderKeys:
    """The provider's key set, as it was when it was fetched last.

    Args:
        fetch: asks the provider for it.
        clock: seconds that only grow.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetch_from = float("-inf")
        self._failed = False
        self._lock = asyncio.Lock()

    async def checked(self, token: str) -> jwt.Token:
        """Return what a token says whose signature is the provider's; its claims are not checked yet.

        Raises:
            SsoRefused: it is not signed by a key of the provider, in a way that we take.
            SsoUnavailable: no key is known for it, and the keys could not be fetched.
        """
        header = _header(token)
        found = self._verified(token, header)
        if found is None:
            async with self._lock:  # whoever waited for the fetch of somebody else looks at what that has brought
                found = self._verified(token, header)
                if found is None and self._clock() >= self._fetch_from:
                    await self._fetch_anew()
                    found = self._verified(token, header)
        if found is None and self._failed:
            raise SsoUnavailable("The SSO provider does not tell its keys. Try again, or ask the operator.")
        if found is None:
            raise SsoRefused("The answer of the SSO provider is not signed by one of its keys. Log in again.")
        return found

    async def _fetch_anew(self) -> None:
        try:
            self._keys = _key_set(await self._fetch())
        except SsoUnavailable:
            self._failed, self._fetch_from = True, self._clock() + RETRY_SECONDS
            raise
        self._failed, self._fetch_from = False, self._clock() + FETCH_EVERY_SECONDS

    def _verified(self, token: str, header: Mapping[str, Any]) -> jwt.Token | None:
        """Try the key that the token names, or all where it names none: some providers' keys have no id."""
        kid = header.get("kid")
        for key in self._keys.keys if self._keys is not None else ():
            if kid is not None and key.kid is not None and key.kid != kid:
                continue
            try:
                return jwt.decode(token, key, algorithms=list(ALGORITHMS))
            except (BadSignatureError, JoseError, ValueError):  # of another kind, or another key's
                continue
        return None


def _header(token: str) -> Mapping[str, Any]:
    try:
        header: Mapping[str, Any] = extract_compact(token.encode()).protected
    except (JoseError, ValueError) as error:
        raise SsoRefused("The SSO provider sent something that is no token. Log in again.") from error
    if header.get("alg") not in ALGORITHMS:
        raise SsoRefused("The answer of the SSO provider is signed in a way that is not taken. Ask the operator.")
    return header


def _key_set(document: Mapping[str, Any]) -> KeySet:
    """Read the keys that can be read: a provider may have others, of kinds that we do not know."""
    keys, told = [], document.get("keys")
    for each in told if isinstance(told, list) else ():
        try:
            keys += KeySet.import_key_set({"keys": [each]}).keys
        except (JoseError, ValueError, KeyError, TypeError):
            continue
    return KeySet(keys)
