"""What a person changes about themselves: name, password, theme, and where they are logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import StringConstraints
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.access.logging_in import with_password
from bento_service.dependencies import Services, WithServices
from bento_service.pages.cookies import Theme, session_token, set_theme
from bento_service.pages.entry.links import NewPasswordForm
from bento_service.pages.entry.logging_in import let_in
from bento_service.pages.forms import Form, filled_in, read_fields
from bento_service.pages.logged_in import Customer, actor_of, page_client
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page, see_other
from resources.base.errors import LoginRefused, NotFound, RecsaasError
from resources.base.tenant import TenantId
from resources.people.members import member_by_id, rename_member
from resources.people.second_factor import codes_left
from resources.people.team import leave_team
from resources.people.verification import send_verification
from resources.sessions.browser_sessions import BrowserSession, beginning
from resources.sessions.login import change_password
from resources.sessions.open_sessions import OpenSession, end_other_sessions, end_session, open_sessions

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class NameForm(Form):
    """How the person is called."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class PasswordForm(NewPasswordForm):
    """The present password, and the new one twice."""

    current: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class ThemeForm(Form):
    """Colours: light, dark, or those of the system."""

    theme: Theme


@router.get("/account")
async def show(request: Request, services: WithServices, session: Customer) -> Response:
    """Show everything that can be changed."""
    return await account_page(request, services, session)


@router.post("/account/name")
async def rename(request: Request, services: WithServices, session: Customer) -> Response:
    """Change the name."""
    fields = await read_fields(request)
    try:
        form = filled_in(fields, NameForm)
        by, now = actor_of(request, session), services.clock()

        def change(database: Session) -> None:
            rename_member(database, member_by_id(database, session.member.id), form.name, by=by, now=now)

        await written(request, services, session, change)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="name", fields=fields)
    return see_other("/account")


@router.post("/account/password")
async def set_password(request: Request, services: WithServices, session: Customer) -> Response:
    """Change the password: every other session of the person ends, and this one begins anew."""
    fields = await read_fields(request)
    client, now = page_client(request), services.clock()
    begin = beginning("customer", client, kept=session.kept, office_policy="off", now=now)
    try:
        form = filled_in(fields, PasswordForm)
        new = form.checked()
        token = await with_password(
            services.threads.passwords,
            client.address,
            change_password,
            services.db,
            session.member.id,
            form.current,
            new,
            begin,
            client,
            now=now,
        )
    except LoginRefused as error:
        return await account_page(request, services, session, error=wrong_password(error), form="password")
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="password")
    return await let_in(request, services, "customer", token, kept=session.kept, goal="/account")


@router.post("/account/theme")
async def choose_theme(request: Request, session: Customer) -> Response:
    """Remember the colours in this browser."""
    response = see_other("/account")
    set_theme(response, filled_in(await read_fields(request), ThemeForm).theme)
    return response


@router.post("/account/verify")
async def verify(request: Request, services: WithServices, session: Customer) -> Response:
    """Mail another link by which the address is confirmed."""
    now, site_url = services.clock(), services.settings.site_url

    def send(database: Session) -> None:
        send_verification(database, member_by_id(database, session.member.id), site_url=site_url, now=now)

    try:
        await written(request, services, session, send)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="verify")
    return await account_page(request, services, session, told="A mail is on its way.")


@router.post("/account/sessions/{session_id}/end")
async def end_one(request: Request, services: WithServices, session: Customer, session_id: str) -> Response:
    """Log out in one place."""
    by, now = actor_of(request, session), services.clock()

    def end(database: Session) -> None:
        end_session(database, session.member.id, session_id, by=by, now=now)

    await written(request, services, session, end)
    return see_other("/account#sessions")


@router.post("/account/end-other-sessions")
async def end_others(request: Request, services: WithServices, session: Customer) -> Response:
    """Log out everywhere but here."""
    by, now = actor_of(request, session), services.clock()

    def end(database: Session) -> None:
        end_other_sessions(database, session.member.id, session.id, by=by, now=now)

    await written(request, services, session, end)
    return see_other("/account#sessions")


@router.post("/account/shops/{tenant_id}/leave")
async def leave(request: Request, services: WithServices, session: Customer, tenant_id: str) -> Response:
    """Leave a shop; its last owner cannot."""
    if all(each.tenant.value != tenant_id for each in session.memberships):
        raise NotFound("You belong to no shop with this id. Your account page lists those that you belong to.")
    by, now = actor_of(request, session), services.clock()

    def go(database: Session) -> None:
        leave_team(database, TenantId(tenant_id), session.member.id, by=by, now=now)

    try:
        await written(request, services, session, go)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="shops")
    return see_other("/account")


async def written(
    request: Request, services: Services, session: BrowserSession, change: Callable[[Session], None]
) -> None:
    """Change something in a transaction; the next page of this browser sees it."""

    def write() -> None:
        with services.db.write() as database:
            change(database)

    await services.threads.writes.run(session.member.id, write)
    forget_session(request, services)


def forget_session(request: Request, services: Services) -> None:
    """Let the next page of this browser see what was changed by this one."""
    services.sessions.forget(session_token(request, "customer") or "", "customer")


def wrong_password(error: LoginRefused) -> LoginRefused:
    """Return the error as it is told to somebody who is logged in: it can be nothing but the password."""
    wrong = LoginRefused(wait_seconds=error.wait_seconds)
    wrong.message = "The present password is wrong. Nothing was changed."
    return wrong


async def account_page(
    request: Request,
    services: Services,
    session: BrowserSession,
    *,
    error: RecsaasError | None = None,
    form: str = "",
    fields: dict[str, str] | None = None,
    told: str = "",
) -> Response:
    """Return the account page; with `error`, what was wrong with one of its forms."""

    def read() -> tuple[tuple[OpenSession, ...], int, bool]:
        with services.db.read() as database:
            places = open_sessions(database, session.member.id, now=services.clock())
            has_password = member_by_id(database, session.member.id).password_hash is not None
            return places, codes_left(database, session.member.id), has_password

    places, left, has_password = await services.threads.reads.run(session.member.id, read)
    values = {
        "session": session,
        "places": places,
        "codes_left": left,
        "has_password": has_password,
        "form": form,
        "told": told,
    }
    return page(request, "account/account.html", values, error=error, fields=fields)
