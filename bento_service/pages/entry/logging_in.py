"""Logging in and out by form, the same for both applications."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Query, Request
from pydantic import StringConstraints
from starlette.responses import Response

from bento_service.access.logging_in import with_password
from bento_service.dependencies import Services
from bento_service.pages.cookies import (
    end_session_cookie,
    end_step,
    session_token,
    set_session,
    set_step,
    step_token,
)
from bento_service.pages.forms import Form, filled_in, read_fields
from bento_service.pages.logged_in import HOME_PAGES, LOGIN_PAGES, page_client, safe_path, session_of
from bento_service.pages.render import page, see_other
from bento_service.pages.security import check_address
from resources.base.errors import LinkExpired, RecsaasError, SecondFactorRequired
from resources.sessions.browser_sessions import App, beginning, end_browser_session
from resources.sessions.login import Login, log_in
from resources.sessions.unfinished_logins import (
    PasswordShown,
    begin_code_step,
    finish_with_code,
    kept_of,
    waits_for_code,
)

Goal = Annotated[str | None, Query(alias="next", max_length=500)]
"""The page to go on to after the log-in."""
NamedShop = Annotated[str | None, Query(max_length=100)]
"""The id of the shop that somebody wants to log in to by SSO."""


class LoginForm(Form):
    """E-mail and password; `keep` is there when the box is ticked."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    keep: str = ""
    next: str = ""


class CodeForm(Form):
    """The digits of a second factor, or a recovery code."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    next: str = ""


async def show_login(
    request: Request, services: Services, app: App, goal: str | None, *, shop: str | None = None
) -> Response:
    """Show the log-in page, with the link to SSO of a shop that is named; whoever is logged in goes on."""
    check_address(request)
    if await session_of(request, app) is not None:
        return see_other(safe_path(goal) or HOME_PAGES[app])
    fields = {"next": safe_path(goal) or "", **({"shop": shop} if shop else {})}
    return _login_page(request, services, app, fields, None)


async def take_login(request: Request, services: Services, app: App) -> Response:
    """Check e-mail and password; where a second factor is set up, its page is next."""
    check_address(request)
    fields = await read_fields(request)
    client, now = page_client(request), services.clock()
    try:
        form = filled_in(fields, LoginForm)
        begin = beginning(
            app, client, kept=bool(form.keep), office_policy=services.settings.office_second_factor, now=now
        )
        login = Login(form.email, form.password, client)
        token = await with_password(
            services.threads.passwords, client.address, log_in, services.db, login, begin, now=now
        )
    except SecondFactorRequired:
        shown = PasswordShown(form.email, kept=bool(form.keep))
        waiting = await services.threads.writes.run(client.address, begin_code_step, services.db, shown, now=now)
        response = see_other(_code_page(app, form.next))
        set_step(response, "code", waiting)
        return response
    except RecsaasError as error:
        return _login_page(request, services, app, fields, error)
    return await let_in(request, services, app, token, kept=bool(form.keep), goal=form.next)


async def show_code(request: Request, services: Services, app: App, goal: str | None) -> Response:
    """Ask for the second factor."""
    check_address(request)
    token = step_token(request, "code")
    client = page_client(request)
    if token is None or not await services.threads.reads.run(
        client.address, waits_for_code, services.db, token, now=services.clock()
    ):
        return see_other(LOGIN_PAGES[app])
    return _code_form(request, app, {"next": safe_path(goal) or ""}, None)


async def take_code(request: Request, services: Services, app: App) -> Response:
    """Check the second factor."""
    check_address(request)
    fields = await read_fields(request)
    waiting, client, now = step_token(request, "code"), page_client(request), services.clock()
    if waiting is None:
        return see_other(LOGIN_PAGES[app])
    try:
        form = filled_in(fields, CodeForm)
        kept = await services.threads.reads.run(client.address, kept_of, services.db, waiting)
        begin = beginning(app, client, kept=kept, office_policy=services.settings.office_second_factor, now=now)
        token = await services.threads.writes.run(
            client.address, finish_with_code, services.db, waiting, form.code, begin, client, now=now
        )
    except LinkExpired as error:
        response = _login_page(request, services, app, fields, error)
        end_step(response, "code")
        return response
    except RecsaasError as error:
        return _code_form(request, app, fields, error)
    response = await let_in(request, services, app, token, kept=kept, goal=form.next)
    end_step(response, "code")
    return response


async def let_in(
    request: Request, services: Services, app: App, token: str, *, kept: bool, goal: str | None = None
) -> Response:
    """Give a browser its cookie, and lead on; the session that it had before ends."""
    await _end_earlier(request, services, app)
    response = see_other(safe_path(goal) or HOME_PAGES[app])
    set_session(response, app, token, kept=kept)
    return response


async def take_logout(request: Request, services: Services, app: App) -> Response:
    """End the session of this browser."""
    await _end_earlier(request, services, app)
    response = see_other(LOGIN_PAGES[app])
    end_session_cookie(response, app)
    return response


async def _end_earlier(request: Request, services: Services, app: App) -> None:
    token = session_token(request, app)
    if token is None:
        return
    client = page_client(request)
    await services.threads.writes.run(
        client.address, end_browser_session, services.db, token, app, client, now=services.clock()
    )
    services.sessions.forget(token, app)


def _code_page(app: App, goal: str) -> str:
    onwards = safe_path(goal)
    return f"{LOGIN_PAGES[app]}/code" + (f"?next={quote(onwards, safe='')}" if onwards else "")


def _login_page(
    request: Request, services: Services, app: App, fields: dict[str, str], error: RecsaasError | None
) -> Response:
    values = {
        "office": app == "office",
        "action": LOGIN_PAGES[app],
        "sso": services.provider is not None,
        "signup": services.settings.signup_mode == "open",
    }
    return page(request, "entry/login.html", values, error=error, fields=fields)


def _code_form(request: Request, app: App, fields: dict[str, str], error: RecsaasError | None) -> Response:
    values = {"office": app == "office", "action": f"{LOGIN_PAGES[app]}/code", "login": LOGIN_PAGES[app]}
    return page(request, "entry/code.html", values, error=error, fields=fields)
