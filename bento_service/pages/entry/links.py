"""What links in mails open. Each shows a page with a button: a program that reads mails uses no link up by a GET."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import StringConstraints
from starlette.responses import Response

from bento_service.dependencies import Services, WithServices
from bento_service.pages.entry.logging_in import let_in
from bento_service.pages.forms import Form, filled_in, read_fields
from bento_service.pages.logged_in import page_client, page_way
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page
from bento_service.pages.security import check_address
from bento_service.people.resets import email_of_link, promise_reset, reset_by_link
from resources.base.errors import FieldProblem, InvalidInput, LinkNotValid, RecsaasError
from resources.people.members import member_by_id, one_email
from resources.people.one_time_links import read_link
from resources.people.verification import verify_address
from resources.sessions.browser_sessions import App, beginning
from resources.sessions.link_login import log_in_by_link
from resources.sessions.login import Begin

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_Password = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class AddressForm(Form):
    """An e-mail address."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class NewPasswordForm(Form):
    """A new password, twice."""

    password: _Password
    again: _Password

    def checked(self) -> str:
        """Return the password.

        Raises:
            InvalidInput: the two differ.
        """
        if self.password != self.again:
            told = "is not the one above; type it again"
            raise InvalidInput(f"The second password {told}.", details=(FieldProblem("again", told),))
        return self.password


@router.get("/forgot")
async def show_forgot(request: Request, services: WithServices) -> Response:
    """Ask for the address of somebody who forgot the password."""
    check_address(request)
    return _forgot(request, services, {}, None, sent=False)


@router.post("/forgot")
async def take_forgot(request: Request, services: WithServices) -> Response:
    """Mail a link, if the address is known; nobody is told whether it is."""
    check_address(request)
    fields = await read_fields(request)
    try:
        email = one_email(filled_in(fields, AddressForm).email)
        send = await promise_reset(services, email, page_client(request).address)
    except RecsaasError as error:
        return _forgot(request, services, fields, error, sent=False)
    answer = _forgot(request, services, fields, None, sent=True)
    answer.background = send
    return answer


@router.get("/reset/{token}")
async def show_reset(request: Request, services: WithServices, token: str) -> Response:
    """Ask for a new password."""
    check_address(request)
    try:
        email = await email_of_link(services, token, page_client(request).address)
    except LinkNotValid as error:
        return _gone(request, error, again="/forgot", button="Have another link sent")
    return page(request, "entry/reset.html", {"email": email})


@router.post("/reset/{token}")
async def take_reset(request: Request, services: WithServices, token: str) -> Response:
    """Set the password; whoever was logged in as this person is logged out."""
    check_address(request)
    fields = await read_fields(request)
    address, way = page_client(request).address, page_way(request)
    try:
        email = await email_of_link(services, token, address)
    except LinkNotValid as error:
        return _gone(request, error, again="/forgot", button="Have another link sent")
    try:
        await reset_by_link(services, token, filled_in(fields, NewPasswordForm).checked(), way, address)
    except LinkNotValid as error:
        return _gone(request, error, again="/forgot", button="Have another link sent")
    except RecsaasError as error:
        return page(request, "entry/reset.html", {"email": email}, error=error)
    done = {"title": "Password set", "text": "Your new password holds. You were logged out everywhere else."}
    return page(request, "entry/done.html", {**done, "link": "/login", "button": "Log in"})


@router.get("/verify/{token}")
async def show_verify(request: Request, services: WithServices, token: str) -> Response:
    """Ask to confirm an address."""
    check_address(request)
    try:
        email = await services.threads.reads.run(page_client(request).address, _email_of, services, token)
    except LinkNotValid as error:
        return _gone(request, error, again="/account", button="Go to your account")
    return page(request, "entry/verify.html", {"email": email})


@router.post("/verify/{token}")
async def take_verify(request: Request, services: WithServices, token: str) -> Response:
    """Note that the address is the person's."""
    check_address(request)
    way = page_way(request)

    def verify() -> str:
        with services.db.write() as session:
            return verify_address(session, token, way=way, now=services.clock()).email

    try:
        email = await services.threads.writes.run(page_client(request).address, verify)
    except LinkNotValid as error:
        return _gone(request, error, again="/account", button="Go to your account")
    done = {"title": "Address confirmed", "text": f"{email} is yours.", "link": "/app", "button": "Go to your shops"}
    return page(request, "entry/done.html", done)


@router.get("/login/once/{token}")
async def show_once(request: Request, services: WithServices, token: str) -> Response:
    """Ask to log in by a link that was printed."""
    check_address(request)
    try:
        await services.threads.reads.run(page_client(request).address, _once_app, services, token)
    except LinkNotValid as error:
        return _gone(request, error, again="/login", button="Log in")
    return page(request, "entry/once.html")


@router.post("/login/once/{token}")
async def take_once(request: Request, services: WithServices, token: str) -> Response:
    """Log in, once, into the app that the link is for."""
    check_address(request)
    client, now = page_client(request), services.clock()

    def begin_in(app: App) -> Begin[str]:
        return beginning(app, client, kept=False, office_policy=services.settings.office_second_factor, now=now)

    try:
        app, session_token = await services.threads.writes.run(
            client.address, log_in_by_link, services.db, token, begin_in, client, now=now
        )
    except LinkNotValid as error:
        return _gone(request, error, again="/login", button="Log in")
    return await let_in(request, services, app, session_token, kept=False)


def _email_of(services: Services, token: str) -> str:
    with services.db.read() as session:
        link = read_link(session, token, "verify", services.clock())
        return member_by_id(session, link.member_id).email


def _once_app(services: Services, token: str) -> None:
    with services.db.read() as session:
        read_link(session, token, "log_in", services.clock())


def _forgot(
    request: Request, services: Services, fields: dict[str, str], error: RecsaasError | None, *, sent: bool
) -> Response:
    values = {"sent": sent, "mail": bool(services.settings.smtp_url)}
    return page(request, "entry/forgot.html", values, error=error, fields=fields)


def _gone(request: Request, error: LinkNotValid, *, again: str, button: str) -> Response:
    return page(request, "entry/gone.html", {"link": again, "button": button}, error=error)
