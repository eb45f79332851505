"""Setting a second factor up, and taking it away. Secrets and recovery codes are shown once."""

from __future__ import annotations

import segno
from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.dependencies import Services, WithServices
from bento_service.pages.account.profile import account_page, written
from bento_service.pages.entry.logging_in import CodeForm, let_in
from bento_service.pages.forms import filled_in, read_fields
from bento_service.pages.logged_in import Customer, actor_of, page_client
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page
from resources.base.errors import FieldProblem, InvalidInput, RecsaasError
from resources.people.members import member_by_id
from resources.people.second_factor import (
    NewFactor,
    begin_second_factor,
    check,
    confirm_second_factor,
    remove_second_factor,
    renew_recovery_codes,
    setup_of,
)
from resources.sessions.browser_sessions import BrowserSession, begin_browser_session
from resources.sessions.throttle import admit, forget_failures

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.post("/account/second-factor")
async def begin(request: Request, services: WithServices, session: Customer) -> Response:
    """Show the secret for an authenticator; it counts once a code was right."""
    made: list[NewFactor] = []

    def write(database: Session) -> None:
        made.append(begin_second_factor(database, session.member.id, now=services.clock()))

    try:
        await written(request, services, session, write)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="second_factor")
    return _setup(request, session, made[0], None)


@router.post("/account/second-factor/confirm")
async def confirm(request: Request, services: WithServices, session: Customer) -> Response:
    """Let the second factor count, and show its recovery codes."""
    fields = await read_fields(request)
    by, now = actor_of(request, session), services.clock()
    codes: list[str] = []

    def write(database: Session) -> None:
        form = filled_in(fields, CodeForm)
        codes.extend(confirm_second_factor(database, session.member.id, form.code, by=by, now=now))

    try:
        await written(request, services, session, write)
    except InvalidInput as error:
        factor = await services.threads.reads.run(session.member.id, _begun, services, session)
        return _setup(request, session, factor, error)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="second_factor")
    return page(request, "account/recovery_codes.html", {"session": session, "codes": codes, "new": True})


@router.post("/account/second-factor/remove")
async def remove(request: Request, services: WithServices, session: Customer) -> Response:
    """Take the second factor away, for whoever shows a code of it; all other sessions end."""
    fields = await read_fields(request)
    client, now = page_client(request), services.clock()
    tokens: list[str] = []
    by = actor_of(request, session)

    def write(database: Session) -> None:
        member = remove_second_factor(database, session.member.id, by=by, now=now)
        tokens.append(begin_browser_session(database, member, "customer", client, kept=session.kept, now=now))

    try:
        await _with_code(request, services, session, fields)
        await written(request, services, session, write)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="second_factor")
    return await let_in(request, services, "customer", tokens[0], kept=session.kept, goal="/account")


@router.post("/account/recovery-codes")
async def renew(request: Request, services: WithServices, session: Customer) -> Response:
    """Show new recovery codes to whoever shows a code; the earlier ones are good for nothing."""
    fields = await read_fields(request)
    by, now = actor_of(request, session), services.clock()
    codes: list[str] = []

    def write(database: Session) -> None:
        codes.extend(renew_recovery_codes(database, session.member.id, by=by, now=now))

    try:
        await _with_code(request, services, session, fields)
        await written(request, services, session, write)
    except RecsaasError as error:
        return await account_page(request, services, session, error=error, form="second_factor")
    return page(request, "account/recovery_codes.html", {"session": session, "codes": codes, "new": False})


async def _with_code(request: Request, services: Services, session: BrowserSession, fields: dict[str, str]) -> None:
    """Check a code of the second factor, which counts as an attempt to log in.

    Raises:
        InvalidInput: it is wrong, or was used.
        TooManyAttempts: too many were.
    """
    form, client, now = filled_in(fields, CodeForm), page_client(request), services.clock()
    right: list[bool] = []

    def write(database: Session) -> None:
        attempt = admit(database, session.member.email, client.address, now=now)
        right.append(check(database, member_by_id(database, session.member.id), form.code, now))
        if right[-1]:
            forget_failures(database, attempt)

    await written(request, services, session, write)
    if not right[-1]:  # raised after the commit, so that the attempt counts
        told = "is not valid now, or was used; take the next one of your authenticator"
        raise InvalidInput(f"The code {told}.", details=(FieldProblem("code", told),))


def _begun(services: Services, session: BrowserSession) -> NewFactor:
    with services.db.read() as database:
        return setup_of(member_by_id(database, session.member.id))


def _setup(request: Request, session: BrowserSession, factor: NewFactor, error: RecsaasError | None) -> Response:
    picture = segno.make(factor.otpauth_url, error="m").svg_inline(
        scale=5, dark="#000", light="#fff", title="QR code for your authenticator", svgclass="qr", omitsize=True
    )
    # Drawn by a library from an address that we wrote, so there is no markup of anybody else in it.
    values = {"session": session, "secret": factor.secret, "picture": Markup(picture), "url": factor.otpauth_url}  # nosec B704
    return page(request, "account/second_factor.html", values, error=error)
