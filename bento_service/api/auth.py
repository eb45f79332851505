"""Authentication and scopes of requests: `Authorization: Bearer <API key>` decides the tenant and what may be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from bento_service.http.costs import cost_of
from bento_service.http.json_body import media_type
from bento_service.http.query import QueryNames
from resources.access.actor import Actor, ActorKind
from resources.access.roles import OFFICE_PERMISSIONS, OfficePermission
from resources.access.scopes import PLATFORM, permissions_of
from resources.base.errors import Forbidden, Unauthenticated
from resources.base.tenant import TenantId
from resources.control_db.api_keys import ApiKey

if TYPE_CHECKING:
    from bento_service.dependencies import Services

FILES = "uploads:write"
"""The scope of whatever sends a file or shows what became of one: jobs, reports and rejected rows."""
_MAX_SECRET = 512


@dataclass(frozen=True, slots=True)
class Principal:
    """The tenant that a credential belongs to, and what it may do.

    Attributes:
        scopes: the permissions, those that a scope implies among them (`resources.access.scopes`).
        key_id: of the key; of a member their id.
        kind, name: as `resources.access.actor.Actor` has them.
        acting_for, reason: where somebody of the office acts for the tenant: for whom, and why.
    """

    tenant: TenantId
    scopes: frozenset[str]
    key_id: str
    kind: ActorKind = "key"
    name: str = ""
    acting_for: str | None = None
    reason: str | None = None

    def actor(self, request: Request) -> Actor:
        """Return who changes something by this request, for the audit log."""
        return _actor(
            request,
            kind=self.kind,
            id=self.key_id,
            name=self.name,
            acting_for=self.acting_for,
            reason=self.reason,
        )

    def check_tenant(self, tenant_id: str | None) -> None:
        """Refuse a `tenant_id` of the body that is not the credential's.

        Raises:
            Forbidden: it names another tenant, whether or not that one exists.
        """
        if tenant_id is not None and tenant_id != self.tenant.value:
            raise Forbidden("tenant_id is not the tenant of this API key; leave it out, or use that tenant's key.")


@dataclass(frozen=True, slots=True)
class OfficePrincipal:
    """Somebody of the platform, over every tenant: a member with an office role, or a key with the scope `platform`."""

    id: str
    name: str
    permissions: frozenset[str]
    kind: ActorKind = "office"

    def actor(self, request: Request) -> Actor:
        """Return who changes something by this request, for the audit log."""
        return _actor(request, kind=self.kind, id=self.id, name=self.name)


def _actor(
    request: Request,
    *,
    kind: ActorKind,
    id: str,
    name: str,
    acting_for: str | None = None,
    reason: str | None = None,
) -> Actor:
    services: Services = request.app.state.services
    return Actor(
        kind=kind,
        id=id,
        name=name or id,
        source="api",
        acting_for=acting_for,
        reason=reason,
        address=services.addresses.of(request.scope),
        request_id=request.scope["state"]["request_id"],
    )


# Only declares the scheme in the OpenAPI document: the check itself is ours, for the error shape.
bearer = HTTPBearer(auto_error=False, description="An API key of your tenant: `sk_live_…`.")


async def authenticated(request: Request, services: Services) -> Principal:
    """Return who is asking when it is their turn, and count the request against the limits.

    Raises:
        Unauthenticated: no credential, or one that is not valid.
        Forbidden: the tenant is suspended.
        RateLimited, Busy: the tenant, the key, or an address without a valid key asks too much.
    """
    secret = _bearer_token(request)
    key = services.keys.fresh(secret) or await _looked_up(request, services, secret)
    state = request.scope["state"]
    tenant = state["tenant"] = key.tenant.value
    state["key_id"] = key.id
    standing = services.plans.fresh(tenant) or await services.plans.find(tenant)
    if standing.limited:
        state["plan"] = standing
    method, path = request.scope["method"], request.scope["route"].path_format
    await services.limits.count(state, cost_of(method, path))
    if key.tenant_status != "active":
        raise Forbidden(f"Tenant {key.tenant} is {key.tenant_status}. Ask the operator of this service to resume it.")
    if standing.calls is not None:
        await services.plans.count_call(state, method, path)
    services.limits.concurrency.hold(tenant)
    state["held"] = tenant
    await services.turns.take(tenant)
    return Principal(tenant=key.tenant, scopes=permissions_of(key.scopes), key_id=key.id, name=key.name)


async def _looked_up(request: Request, services: Services, secret: str) -> ApiKey:
    """Look up a key that nobody has shown for a while; guesses count for the address that they come from."""
    limits, address = services.limits, services.addresses.of(request.scope)
    known = services.keys.knows(secret)
    if not known:
        limits.count_stranger(request.scope["state"], address)
    key = await services.keys.find(secret, asked_by=address)
    if key is None:
        raise Unauthenticated("The API key is not valid. Check it, or ask your tenant's admin for a new one.")
    if not known:
        limits.strangers.give_back(address)
    return key


async def allowed(request: Request, services: Services, *scopes: str) -> Principal:
    """Return who is asking, if the credential has one of `scopes`.

    Raises:
        Forbidden: it has none of them.
        InvalidInput: the query has parameters that the route does not have; and whatever `authenticated` raises.
    """
    principal = await authenticated(request, services)
    if principal.scopes.isdisjoint(scopes):
        wanted = " or ".join(scopes)
        raise Forbidden(f"This API key lacks the scope {wanted}. Use one that has it, or ask your tenant's admin.")
    names: QueryNames = request.app.state.query
    names.check(request)
    return principal


def require(*scopes: str) -> Callable[..., Awaitable[Principal]]:
    """Return the dependency of a route that needs one of `scopes`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> Principal:
        return await allowed(request, request.app.state.services, *scopes)

    return dependency


def require_for_body(scope: str) -> Callable[..., Awaitable[Principal]]:
    """Return the dependency of a route that takes JSON with `scope`, and a file with `uploads:write` alone.

    A key that stands in a page has scopes for single facts: a file says what is deleted, and its report shows rows.
    """

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> Principal:
        wanted = FILES if media_type(request) == "multipart/form-data" else scope
        return await allowed(request, request.app.state.services, wanted)

    return dependency


def require_office(permission: OfficePermission) -> Callable[..., Awaitable[OfficePrincipal]]:
    """Return the dependency of a route of the platform that needs `permission`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> OfficePrincipal:
        return await _of_office(request, request.app.state.services, permission)

    return dependency


async def _of_office(request: Request, services: Services, permission: OfficePermission) -> OfficePrincipal:
    """Return who of the platform is asking.

    Raises:
        Forbidden: it is nobody of the platform, or somebody without the permission; and what `authenticated` raises.
    """
    principal = await authenticated(request, services)
    if PLATFORM not in principal.scopes:
        raise Forbidden(
            f"This is for the operator of this service ({permission}); log in as one, or use a key with {PLATFORM}."
        )
    names: QueryNames = request.app.state.query
    names.check(request)
    return OfficePrincipal(principal.key_id, principal.name, frozenset(OFFICE_PERMISSIONS), kind="key")


def _bearer_token(request: Request) -> str:
    header = request.headers.get("authorization")
    if header is None:
        raise Unauthenticated("Send your API key in the header 'Authorization: Bearer <key>'.")
    kind, _, secret = header.partition(" ")
    secret = secret.strip()
    if kind.lower() != "bearer" or not secret or len(secret) > _MAX_SECRET:
        raise Unauthenticated("The Authorization header must read 'Bearer <key>'.")
    return secret
