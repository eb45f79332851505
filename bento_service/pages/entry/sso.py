"""Logging in by SSO: to the provider by a link, since a form may lead to no other site, and back."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from bento_service.dependencies import Services, WithServices
from bento_service.pages.cookies import end_step, set_step, step_token
from bento_service.pages.entry.logging_in import NamedShop, let_in
from bento_service.pages.logged_in import page_client
from bento_service.pages.page_route import PageRoute
from bento_service.pages.security import HEADERS, check_address
from bento_service.sso.provider import OpenIdProvider, Trip
from resources.access.roles import office_role
from resources.base.errors import NotFound, SsoRefused
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.people.memberships import Membership
from resources.sessions.browser_sessions import App, begin_browser_session
from resources.sessions.sso_login import OfficeRules, log_in_to_office, log_in_to_shop
from resources.sessions.unfinished_logins import add_unfinished, take_unfinished

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_CALLBACKS: Mapping[App, str] = {"office": "/office/login/sso/callback", "customer": "/login/sso/callback"}
Answered = Annotated[str | None, Query(max_length=4000)]


@router.get("/office/login/sso")
async def start_for_office(request: Request, services: WithServices) -> Response:
    """Send somebody of the platform to the provider."""
    return await _start(request, services, "office", None)


@router.get("/login/sso")
async def start_for_shop(request: Request, services: WithServices, shop: NamedShop = None) -> Response:
    """Send somebody of a shop to the provider."""
    if not shop:
        raise SsoRefused("Name your shop: add its id to the address as ?shop=<id>.")
    return await _start(request, services, "customer", TenantId(shop))


@router.get("/office/login/sso/callback")
async def back_to_office(
    request: Request, services: WithServices, code: Answered = None, state: Answered = None, error: Answered = None
) -> Response:
    """Let in who comes back from the provider."""
    return await _back(request, services, "office", code, state, error)


@router.get("/login/sso/callback")
async def back_to_shop(
    request: Request, services: WithServices, code: Answered = None, state: Answered = None, error: Answered = None
) -> Response:
    """Let in who comes back from the provider."""
    return await _back(request, services, "customer", code, state, error)


async def _start(request: Request, services: Services, app: App, tenant: TenantId | None) -> Response:
    check_address(request)
    provider = _provider(services)
    trip = Trip(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        redirect_uri=f"{services.settings.site_url}{_CALLBACKS[app]}",
    )
    address = await provider.address_for(trip)
    data = {
        "app": app,
        "tenant": None if tenant is None else tenant.value,
        "state": trip.state,
        "nonce": trip.nonce,
        "verifier": trip.verifier,
        "redirect_uri": trip.redirect_uri,
    }
    token = await services.threads.writes.run(page_client(request).address, _remember, services, data)
    response = RedirectResponse(address, status_code=303, headers=dict(HEADERS))
    set_step(response, "sso", token)
    return response


async def _back(
    request: Request, services: Services, app: App, code: str | None, state: str | None, refused: str | None
) -> Response:
    check_address(request)
    provider, client, token = _provider(services), page_client(request), step_token(request, "sso")
    data = None
    if token is not None:
        data = await services.threads.writes.run(client.address, _recall, services, token)
    if data is None or data["app"] != app or not hmac.compare_digest(data["state"].encode(), (state or "").encode()):
        raise SsoRefused("This way back from the SSO provider was used, or is of another log-in. Log in again.")
    if refused is not None or not code:
        raise SsoRefused("The SSO provider did not let you in. Log in again, or ask whoever runs it.")
    trip = Trip(data["state"], data["nonce"], data["verifier"], data["redirect_uri"])
    identity = await provider.identity(code, trip)
    now = services.clock()

    def begin(session: Session, member: MemberRow, _: Membership | None) -> str:
        return begin_browser_session(session, member, app, client, kept=False, now=now)

    def enter(db: ControlDb) -> str:
        if app == "office":
            return log_in_to_office(db, identity, rules_of(services.settings), begin, client, now=now)
        return log_in_to_shop(db, identity, TenantId(data["tenant"]), begin, client, now=now)

    session_token = await services.threads.writes.run(client.address, enter, services.db)
    response = await let_in(request, services, app, session_token, kept=False)
    end_step(response, "sso")
    return response


def rules_of(settings: Settings) -> OfficeRules:
    """Return who may come into the office by SSO, as the settings say."""
    domains = (each.strip().lower() for each in settings.oidc_allowed_domains.split(","))
    pairs = (each.partition("=") for each in settings.oidc_roles.split(";") if each)
    return OfficeRules(
        frozenset(each for each in domains if each), {group.strip(): office_role(role) for group, _, role in pairs}
    )


def _provider(services: Services) -> OpenIdProvider:
    if services.provider is None:
        raise NotFound("There is no log-in by SSO here. Log in with your password.")
    return services.provider


def _remember(services: Services, data: Mapping[str, Any]) -> str:
    with services.db.write() as session:
        return add_unfinished(session, "sso", data, now=services.clock())


def _recall(services: Services, token: str) -> Mapping[str, Any] | None:
    with services.db.write() as session:
        return take_unfinished(session, token, "sso", now=services.clock())
