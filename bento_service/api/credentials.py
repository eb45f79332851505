"""The credential of a request: read from its header, and looked up where nobody has shown it for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from bento_service.http.costs import cost_of
from resources.base.errors import Unauthenticated
from resources.control_db.api_keys import ApiKey
from resources.sessions.standing import Standing

if TYPE_CHECKING:
    from bento_service.dependencies import Services

_MAX_SECRET = 2048
"""A token has some 450 characters, and a reason in it may have its own."""


def credential_of(request: Request) -> str:
    """Return the key or token of a request, as it was sent.

    Raises:
        Unauthenticated: there is none.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise Unauthenticated("Send your API key in the header 'Authorization: Bearer <key>'.")
    kind, _, secret = header.partition(" ")
    secret = secret.strip()
    if kind.lower() != "bearer" or not secret or len(secret) > _MAX_SECRET:
        raise Unauthenticated("The Authorization header must read 'Bearer <key>'.")
    return secret


async def standing_of_bearer(request: Request, services: Services, token: str) -> Standing:
    """Return what the bearer of a token may do, when it is their turn, and count the request against the limits.

    Whoever belongs to no shop counts for the address.

    Raises:
        Unauthenticated: the token is not valid.
        RateLimited, Busy: as `authenticated`.
    """
    state = request.scope["state"]
    standing = services.members.fresh(token) or await _looked_up_member(request, services, token)
    if standing.tenant is None:
        address = services.addresses.of(request.scope)
        cost = cost_of(request.scope["method"], request.scope["route"].path_format)
        services.limits.count_stranger(state, address, cost)
        await services.turns.take(address)
        return standing
    state["tenant"], state["key_id"] = standing.tenant.value, standing.member_id
    await count_request(request, services)
    await await_turn(request, services)
    return standing


async def count_request(request: Request, services: Services) -> None:
    """Count a request against the limits a second of its tenant and of whoever asks, both of which `state` names.

    Raises:
        RateLimited: it is one too many; and whatever looking the tenant's plan up raises.
    """
    state, scope = request.scope["state"], request.scope
    tenant = state["tenant"]
    plan = services.plans.fresh(tenant) or await services.plans.find(tenant)
    if plan.limited:
        state["plan"] = plan
    await services.limits.count(state, cost_of(scope["method"], scope["route"].path_format))


async def await_turn(request: Request, services: Services) -> None:
    """Count a request that was counted, and may be answered, against the month of its tenant; wait for its turn.

    Raises:
        QuotaExceeded, QuotaUsedUp: the month is used up.
        Busy: the tenant has too many requests in flight.
    """
    state, scope = request.scope["state"], request.scope
    if "plan" in state:
        await services.plans.count_call(state, scope["method"], scope["route"].path_format)
    tenant = state["tenant"]
    services.limits.concurrency.hold(tenant)
    state["held"] = tenant
    await services.turns.take(tenant)


async def _looked_up_member(request: Request, services: Services, token: str) -> Standing:
    """Look up a token that nobody has shown for a while; guesses count for the address that they come from."""
    limits, address = services.limits, services.addresses.of(request.scope)
    known = services.members.knows(token)
    if not known:
        limits.count_stranger(request.scope["state"], address)
    standing = await services.members.find(token, asked_by=address)
    if not known:
        limits.strangers.give_back(address)
    return standing


async def looked_up_key(request: Request, services: Services, secret: str) -> ApiKey:
    """Look up a key that nobody has shown for a while; guesses count for the address that they come from.

    Raises:
        Unauthenticated: there is no such key.
        RateLimited, Busy: the address, or all together, ask too much.
    """
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
