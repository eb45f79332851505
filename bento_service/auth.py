"""Who is asking: `Authorization: Bearer <API key>` decides the tenant and what may be done."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from resources.control_db.api_keys import ApiKey, authenticate, hash_secret
from resources.control_db.engine import ControlDb
from resources.errors import Forbidden, Unauthenticated
from resources.tenant import TenantId

KEY_TTL_SECONDS = 3.0
"""How long a key is believed without asking the control DB; a revoked key must stop within 5 s on every worker."""
_MAX_KEYS = 10_000
_MAX_SECRET = 512


@dataclass(frozen=True, slots=True)
class Principal:
    """The tenant that a credential belongs to, and what it may do."""

    tenant: TenantId
    scopes: frozenset[str]
    key_id: str

    def check_tenant(self, tenant_id: str | None) -> None:
        """Refuse a `tenant_id` of the body that is not the credential's.

        Raises:
            Forbidden: it names another tenant, whether or not that one exists.
        """
        if tenant_id is not None and tenant_id != self.tenant.value:
            raise Forbidden("tenant_id is not the tenant of this API key; leave it out, or use that tenant's key.")


class KeyCache:
    """Keys that were valid moments ago. Only their hashes are held, and no invalid ones, so guessing fills nothing."""

    def __init__(self, db: ControlDb, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._clock = clock
        self._keys: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()
        self._lock = Lock()

    def cached(self, secret: str) -> ApiKey | None:
        """Return the key if it was looked up within `KEY_TTL_SECONDS`."""
        with self._lock:
            found = self._keys.get(hash_secret(secret))
        return found[1] if found is not None and self._clock() - found[0] < KEY_TTL_SECONDS else None

    def look_up(self, secret: str) -> ApiKey | None:
        """Ask the control DB, and remember a valid key."""
        asked_at = self._clock()
        key = authenticate(self._db, secret)
        hashed = hash_secret(secret)
        with self._lock:
            self._keys.pop(hashed, None)
            if key is not None:
                self._keys[hashed] = (asked_at, key)
                while len(self._keys) > _MAX_KEYS:
                    self._keys.popitem(last=False)
        return key


# Only declares the scheme in the OpenAPI document: the check itself is ours, for the error shape.
bearer = HTTPBearer(auto_error=False, description="An API key of your tenant: `sk_live_…`.")


async def authenticated(request: Request, keys: KeyCache) -> Principal:
    """Return who is asking.

    Raises:
        Unauthenticated: no credential, or one that is not valid.
        Forbidden: the tenant is suspended.
    """
    secret = _bearer_token(request)
    key = keys.cached(secret) or await run_in_threadpool(keys.look_up, secret)
    if key is None:
        raise Unauthenticated("The API key is not valid. Check it, or ask your tenant's admin for a new one.")
    request.state.tenant = key.tenant.value
    if key.tenant_status != "active":
        raise Forbidden(f"Tenant {key.tenant} is {key.tenant_status}. Ask the operator of this service to resume it.")
    return Principal(tenant=key.tenant, scopes=key.scopes, key_id=key.id)


def require(*scopes: str) -> Callable[..., Awaitable[Principal]]:
    """Return the dependency of a route that needs one of `scopes`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> Principal:
        principal = await authenticated(request, request.app.state.services.keys)
        if principal.scopes.isdisjoint(scopes):
            wanted = " or ".join(scopes)
            raise Forbidden(f"This API key lacks the scope {wanted}. Use one that has it, or ask your tenant's admin.")
        return principal

    return dependency


def _bearer_token(request: Request) -> str:
    header = request.headers.get("authorization")
    if header is None:
        raise Unauthenticated("Send your API key in the header 'Authorization: Bearer <key>'.")
    kind, _, secret = header.partition(" ")
    secret = secret.strip()
    if kind.lower() != "bearer" or not secret or len(secret) > _MAX_SECRET:
        raise Unauthenticated("The Authorization header must read 'Bearer <key>'.")
    return secret
