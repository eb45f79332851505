"""Authentication and scopes of requests: `Authorization: Bearer <API key>` decides the tenant and what may be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from bento_service.access.key_bindings import SANDBOX_HEADER, check_bindings, check_sandbox
from bento_service.api.credentials import await_turn, count_request, credential_of, looked_up_key, standing_of_bearer
from bento_service.api.needs import Needs, needing
from bento_service.http.json_body import media_type
from bento_service.http.query import QueryNames
from resources.access.actor import Actor, ActorKind
from resources.access.roles import OFFICE_PERMISSIONS, OfficePermission
from resources.access.scopes import PLATFORM, permissions_of
from resources.base.errors import Forbidden, SecondFactorMissing
from resources.base.tenant import TenantId
from resources.control_db.tenants import stopped_words
from resources.sessions.access_tokens import looks_like_a_token
from resources.sessions.standing import Standing

if TYPE_CHECKING:
    from bento_service.dependencies import Services

FILES = "uploads:write"
"""The scope of whatever sends a file or shows what became of one: jobs, reports and rejected rows."""
_READING = ("GET", "HEAD")
_ANSWERS = "recommendations:read"


@dataclass(frozen=True, slots=True)
class Principal:
    """The tenant that a credential belongs to, and what it may do.

    Attributes:
        scopes: the permissions, those that a scope implies among them (`resources.access.scopes`).
        key_id: of the key; of a member their id.
        kind, name: as `resources.access.actor.Actor` has them.
        acting_for, reason: where somebody of the office acts for the tenant: for whom, and why.
        sandbox: whether nothing that it sends may be stored or change an answer.
    """

    tenant: TenantId
    scopes: frozenset[str]
    key_id: str
    kind: ActorKind = "key"
    name: str = ""
    acting_for: str | None = None
    reason: str | None = None
    sandbox: bool = False

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
            if self.kind == "key":
                raise Forbidden("tenant_id is not the tenant of this API key; leave it out, or use that tenant's key.")
            raise Forbidden(
                "tenant_id is not the shop of this token; leave it out, or get a token for that shop by "
                "POST /api/v1/auth/refresh with tenant_id."
            )


@dataclass(frozen=True, slots=True)
class MemberPrincipal:
    """A person who has logged in, for routes about themselves: in whichever shop, or in none."""

    standing: Standing

    @property
    def member_id(self) -> str:
        """The person."""
        return self.standing.member_id

    def actor(self, request: Request) -> Actor:
        """Return who changes something by this request, for the audit log."""
        return _actor(request, kind="member", id=self.standing.member_id, name=self.standing.email)


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
bearer = HTTPBearer(
    auto_error=False, description="An API key of your tenant, `sk_live_…`, or the access token of a member."
)


async def authenticated(request: Request, services: Services) -> Principal:
    """Return who is asking when it is their turn, and count the request against the limits.

    Raises:
        Unauthenticated: no credential, or one that is not valid.
        Forbidden: the tenant is suspended, or the key is bound to other addresses or pages.
        RateLimited, Busy: the tenant, the key, or an address without a valid key asks too much.
    """
    secret = credential_of(request)
    if looks_like_a_token(secret):
        return await _member_of_shop(request, services, secret)
    key = services.keys.fresh(secret) or await looked_up_key(request, services, secret)
    if key.bound:  # before the tenant is named: a refused stranger costs the tenant nothing
        check_bindings(key, request.scope, services.addresses)
    state = request.scope["state"]
    state["tenant"], state["key_id"] = key.tenant.value, key.id
    services.key_worker.note(key.id, request.scope["method"], request.scope["route"].path_format)
    if key.kind == "browser":
        services.page_limit.count(state, services.addresses.of(request.scope))
    await count_request(request, services)
    if key.kind == "sandbox":
        state["rate_limit"] = [*state["rate_limit"], SANDBOX_HEADER]
    if key.tenant_status != "active":
        raise Forbidden(await services.threads.keys.run(key.tenant.value, stopped_words, services.db, key.tenant))
    await await_turn(request, services)
    return Principal(
        tenant=key.tenant,
        scopes=permissions_of(key.scopes),
        key_id=key.id,
        name=key.name,
        sandbox=key.kind == "sandbox",
    )


async def _member_of_shop(request: Request, services: Services, token: str) -> Principal:
    """Return who is asking by an access token, for a shop; as `authenticated`."""
    return await _in_shop(request, services, await standing_of_bearer(request, services, token))


async def _in_shop(request: Request, services: Services, standing: Standing) -> Principal:
    """Return what somebody who has logged in may do in the shop; where it is suspended, look and no more."""
    if standing.tenant is None:
        raise Forbidden("You belong to no shop. Sign one up, or have an owner of a shop invite you.")
    permissions, tenant = standing.permissions, standing.tenant
    if standing.tenant_status != "active":
        if standing.tenant_status != "suspended" or request.scope["method"] not in _READING:
            raise Forbidden(await services.threads.keys.run(tenant.value, stopped_words, services.db, tenant))
        permissions -= {_ANSWERS}  # nobody is answered
    acting = standing.acting
    return Principal(
        tenant=tenant,
        scopes=permissions,
        key_id=standing.member_id,
        kind="member" if acting is None else "office",
        name=standing.email,
        acting_for=None if acting is None else acting.acting_for,
        reason=None if acting is None else acting.reason,
    )


async def allowed(request: Request, services: Services, *scopes: str) -> Principal:
    """Return who is asking, if the credential has one of `scopes`.

    Raises:
        Forbidden: it has none of them.
        InvalidInput: the query has parameters that the route does not have; and whatever `authenticated` raises.
    """
    principal = await authenticated(request, services)
    _check_scopes(principal, *scopes)
    if principal.sandbox:
        check_sandbox(request.scope)
    names: QueryNames = request.app.state.query
    names.check(request)
    return principal


def _check_scopes(principal: Principal, *scopes: str) -> None:
    if principal.scopes.isdisjoint(scopes):
        wanted = " or ".join(scopes)
        if principal.kind == "key":
            raise Forbidden(f"This API key lacks the scope {wanted}. Use one that has it, or ask your tenant's admin.")
        if principal.kind == "office":
            raise Forbidden(f"Whoever acts for a shop may not do this: it takes {wanted}.")
        raise Forbidden(f"Your role in this shop does not have {wanted}. Ask an admin or owner of the shop.")


def require(*scopes: str) -> Callable[..., Awaitable[Principal]]:
    """Return the dependency of a route that needs one of `scopes`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> Principal:
        return await allowed(request, request.app.state.services, *scopes)

    return needing(Needs(permissions=scopes), dependency)


def declare(*scopes: str) -> Callable[..., Awaitable[None]]:
    """Return a dependency that only says what a route needs: its handler asks by itself, without FastAPI."""

    async def dependency(_declared: object = Depends(bearer)) -> None:
        return None

    return needing(Needs(permissions=scopes), dependency)


def require_for_body(scope: str) -> Callable[..., Awaitable[Principal]]:
    """Return the dependency of a route that takes JSON with `scope`, and a file with `uploads:write` alone.

    A key that stands in a page has scopes for single facts: a file says what is deleted, and its report shows rows.
    """

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> Principal:
        wanted = FILES if media_type(request) == "multipart/form-data" else scope
        return await allowed(request, request.app.state.services, wanted)

    return needing(Needs(permissions=(scope,), with_file=FILES), dependency)


def require_member() -> Callable[..., Awaitable[MemberPrincipal]]:
    """Return the dependency of a route about the person who asks; keys, and whoever acts for somebody, are refused."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> MemberPrincipal:
        services: Services = request.app.state.services
        token = credential_of(request)
        if not looks_like_a_token(token):
            await authenticated(request, services)
            raise Forbidden("This is about a person, and an API key is none: log in, and send the access token.")
        standing = await standing_of_bearer(request, services, token)
        if standing.acting is not None:
            raise Forbidden("Whoever acts for a shop may not do this. End that first.")
        names: QueryNames = request.app.state.query
        names.check(request)
        return MemberPrincipal(standing)

    return needing(Needs(person=True), dependency)


Myself = Annotated[MemberPrincipal, Depends(require_member())]
"""The person who asks, in a route about themselves."""


def require_of_the_office() -> Callable[..., Awaitable[OfficePrincipal]]:
    """Return the dependency of the route that ends acting: who does it may send either token, their own or that one."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> OfficePrincipal:
        services: Services = request.app.state.services
        token = credential_of(request)
        if not looks_like_a_token(token):
            await authenticated(request, services)
            raise Forbidden("A person acts for a shop, and an API key is none: log in, and send the access token.")
        standing = await standing_of_bearer(request, services, token)
        if standing.office_role is None:
            raise Forbidden("This is for the operator of this service, and your account is not one of it.")
        names: QueryNames = request.app.state.query
        names.check(request)
        return OfficePrincipal(standing.member_id, standing.email, standing.office_permissions)

    return needing(Needs(office_person=True), dependency)


def require_office(permission: OfficePermission) -> Callable[..., Awaitable[OfficePrincipal]]:
    """Return the dependency of a route of the platform that needs `permission`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> OfficePrincipal:
        return await _of_office(request, request.app.state.services, permission)

    return needing(Needs(office=permission), dependency)


def require_office_or_shop(
    permission: OfficePermission, scope: str
) -> Callable[..., Awaitable[OfficePrincipal | Principal]]:
    """Return the dependency of a route for whoever of the platform has `permission`, and in a shop has `scope`."""

    async def dependency(request: Request, _declared: object = Depends(bearer)) -> OfficePrincipal | Principal:
        services: Services = request.app.state.services
        secret = credential_of(request)
        if looks_like_a_token(secret):
            standing = await standing_of_bearer(request, services, secret)
            if permission in standing.office_permissions:
                found: OfficePrincipal | Principal = _of_office_role(standing, services, permission)
            else:
                found = await _in_shop(request, services, standing)
        else:
            found = await authenticated(request, services)
            if PLATFORM in found.scopes:
                found = OfficePrincipal(found.key_id, found.name, frozenset(OFFICE_PERMISSIONS), kind="key")
        if isinstance(found, Principal):
            _check_scopes(found, scope)
            if found.sandbox:
                check_sandbox(request.scope)
        names: QueryNames = request.app.state.query
        names.check(request)
        return found

    return needing(Needs(permissions=(scope,), office=permission), dependency)


async def member_if_any(request: Request, services: Services) -> MemberPrincipal | None:
    """Return who asks on a route that needs no credential; None for somebody who sends none.

    Raises:
        Unauthenticated: the token is not valid.
        Forbidden: the credential is a key, or that of somebody who acts for a shop.
        Busy: too many look-ups wait.
    """
    if "authorization" not in request.headers:
        return None
    token = credential_of(request)
    if not looks_like_a_token(token):
        raise Forbidden("This is about a person, and an API key is none: log in, and send the access token.")
    address = services.addresses.of(request.scope)
    standing = services.members.fresh(token) or await services.members.find(token, asked_by=address)
    if standing.acting is not None:
        raise Forbidden("Whoever acts for a shop may not do this. End that first.")
    return MemberPrincipal(standing)


async def _of_office(request: Request, services: Services, permission: OfficePermission) -> OfficePrincipal:
    """Return who of the platform is asking.

    Raises:
        Forbidden: it is nobody of the platform, or somebody without the permission; and what `authenticated` raises.
    """
    secret = credential_of(request)
    if looks_like_a_token(secret):
        found = _of_office_role(await standing_of_bearer(request, services, secret), services, permission)
    else:
        principal = await authenticated(request, services)
        if PLATFORM not in principal.scopes:
            raise Forbidden(
                f"This is for the operator of this service ({permission}); log in as one, or use a key with {PLATFORM}."
            )
        found = OfficePrincipal(principal.key_id, principal.name, frozenset(OFFICE_PERMISSIONS), kind="key")
    names: QueryNames = request.app.state.query
    names.check(request)
    return found


def _of_office_role(standing: Standing, services: Services, permission: OfficePermission) -> OfficePrincipal:
    if standing.acting is not None or standing.office_role is None:
        raise Forbidden(f"This is for the operator of this service ({permission}), and your account is not one of it.")
    if permission not in standing.office_permissions:
        raise Forbidden(f"The role {standing.office_role} does not have {permission}. Ask a super admin.")
    if services.settings.office_second_factor == "required" and not standing.second_factor:
        raise SecondFactorMissing(
            "Set up a second factor first: who works for the operator of this service needs one to log in."
        )
    return OfficePrincipal(standing.member_id, standing.email, standing.office_permissions)
