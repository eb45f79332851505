"""Accepting an invitation: as somebody new with a name and a password, or as the person who is logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import StringConstraints
from starlette.responses import Response

from bento_service.access.logging_in import with_password
from bento_service.dependencies import Services, WithServices
from bento_service.pages.entry.links import NewPasswordForm
from bento_service.pages.entry.logging_in import let_in
from bento_service.pages.forms import filled_in, read_fields
from bento_service.pages.logged_in import HOME_PAGES, page_client, page_way, session_of
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page, see_other
from bento_service.pages.security import check_address
from resources.base.errors import LinkNotValid, RecsaasError
from resources.people.invites import OpenInvite, accept_as_member, accept_as_new, find_invite
from resources.people.passwords import hash_password
from resources.people.second_factor import missing
from resources.sessions.browser_sessions import App, begin_browser_session

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class NewMemberForm(NewPasswordForm):
    """A name, and a password twice."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


@router.get("/invite/{token}")
async def show(request: Request, services: WithServices, token: str) -> Response:
    """Show what the invitation is for."""
    check_address(request)
    try:
        found = await services.threads.reads.run(page_client(request).address, _find, services, token)
    except LinkNotValid as error:
        return _gone(request, error)
    return await _page(request, found, {}, None)


@router.post("/invite/{token}")
async def take(request: Request, services: WithServices, token: str) -> Response:
    """Let the person in."""
    check_address(request)
    fields = await read_fields(request)
    try:
        found = await services.threads.reads.run(page_client(request).address, _find, services, token)
    except LinkNotValid as error:
        return _gone(request, error)
    try:
        if found.has_account:
            return await _as_member(request, services, token, found)
        return await _as_new(request, services, token, found, fields)
    except LinkNotValid as error:
        return _gone(request, error)
    except RecsaasError as error:
        return await _page(request, found, fields, error)


async def _as_new(
    request: Request, services: Services, token: str, found: OpenInvite, fields: dict[str, str]
) -> Response:
    form = filled_in(fields, NewMemberForm)
    password, client, way, now = form.checked(), page_client(request), page_way(request), services.clock()

    def accept() -> tuple[App, str]:
        hashed = hash_password(password, email=found.invite.email)
        with services.db.write() as session:
            member = accept_as_new(session, token, name=form.name, password_hash=hashed, way=way, now=now)
            # Into the office only with a second factor, where it wants one: that is set up under Account.
            enters = found.invite.tenant is None and not missing(member, services.settings.office_second_factor)
            app: App = "office" if enters else "customer"
            return app, begin_browser_session(session, member, app, client, kept=False, now=now)

    app, session_token = await with_password(services.threads.passwords, client.address, accept)
    goal = "/account" if app == "customer" and found.invite.tenant is None else None
    return await let_in(request, services, app, session_token, kept=False, goal=goal)


async def _as_member(request: Request, services: Services, token: str, found: OpenInvite) -> Response:
    session_now = await session_of(request, "customer")
    if session_now is None:
        return see_other(f"/login?next=/invite/{token}")
    way, now, member_id = page_way(request), services.clock(), session_now.member.id

    def accept() -> None:
        with services.db.write() as session:
            accept_as_member(session, token, member_id, way=way, now=now)

    await services.threads.writes.run(page_client(request).address, accept)
    return see_other(HOME_PAGES["office" if found.invite.tenant is None else "customer"])


def _find(services: Services, token: str) -> OpenInvite:
    with services.db.read() as session:
        return find_invite(session, token, services.clock())


async def _page(request: Request, found: OpenInvite, fields: dict[str, str], error: RecsaasError | None) -> Response:
    logged_in = await session_of(request, "customer")
    values = {
        "invite": found.invite,
        "place": found.place,
        "has_account": found.has_account,
        "own": None if logged_in is None else logged_in.member.email,
    }
    return page(request, "entry/invite.html", values, error=error, fields=fields)


def _gone(request: Request, error: LinkNotValid) -> Response:
    return page(request, "entry/gone.html", {"link": "/login", "button": "Log in"}, error=error)
