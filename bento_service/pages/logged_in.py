"""Who looks at a page: by the cookie of its app alone, never by an Authorization header."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request

from bento_service.access.logging_in import client_of
from bento_service.dependencies import Services
from bento_service.pages.cookies import session_token
from bento_service.pages.page_route import LoggedOut
from resources.access.actor import Actor, ActorKind
from resources.sessions.browser_sessions import App, BrowserSession
from resources.sessions.refresh_tokens import LoginClient

LOGIN_PAGES: dict[App, str] = {"customer": "/login", "office": "/office/login"}
HOME_PAGES: dict[App, str] = {"customer": "/app", "office": "/office"}


def page_client(request: Request) -> LoginClient:
    """Return where a person is: address, browser, request."""
    services: Services = request.app.state.services
    return client_of(request, services.addresses)


def page_way(request: Request) -> Actor:
    """Return how a request of somebody who is not logged in came, for the audit log."""
    client = page_client(request)
    return Actor(
        kind="system", id="pages", name="pages", source="page", address=client.address, request_id=client.request_id
    )


def actor_of(request: Request, session: BrowserSession) -> Actor:
    """Return who changes something by a page, for the audit log."""
    client = page_client(request)
    kind: ActorKind = "office" if session.app == "office" else "member"
    return Actor(
        kind=kind,
        id=session.member.id,
        name=session.member.email,
        source="page",
        address=client.address,
        request_id=client.request_id,
    )


async def session_of(request: Request, app: App) -> BrowserSession | None:
    """Return who is logged in to this app; None for nobody."""
    services: Services = request.app.state.services
    token = session_token(request, app)
    if token is None:
        return None
    return await services.sessions.find(token, app, asked_by=services.addresses.of(request.scope))


def safe_path(text: str | None) -> str | None:
    """Return where to go on after a log-in, if that is a page of ours: never an address of another site."""
    if not text or len(text) > 500 or not text.startswith("/") or text.startswith(("//", "/\\")):
        return None
    return text if text.isprintable() and "\\" not in text else None


def _wanted(app: App, request: Request) -> LoggedOut:
    login = LOGIN_PAGES[app]
    if request.method != "GET":
        return LoggedOut(login)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return LoggedOut(f"{login}?next={quote(here, safe='')}")


async def _customer(request: Request) -> BrowserSession:
    found = await session_of(request, "customer")
    if found is None:
        raise _wanted("customer", request)
    return found


async def _office(request: Request) -> BrowserSession:
    found = await session_of(request, "office")
    if found is None:
        raise _wanted("office", request)
    return found


Customer = Annotated[BrowserSession, Depends(_customer)]
"""Somebody who is logged in to the customer application; others are sent to its log-in page."""
OfficeVisitor = Annotated[BrowserSession, Depends(_office)]
"""Somebody who is logged in to the office."""
