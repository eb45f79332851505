"""One's own second factor: set up, confirm, take away, and new recovery codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.access.logging_in import client_of, with_password
from bento_service.api.auth import Myself
from bento_service.dependencies import Services, WithServices
from bento_service.http.errors import invalid_fields
from bento_service.http.json_body import json_body, read_body
from bento_service.schemas.people.second_factor import (
    BeginBody,
    CodeBody,
    FactorState,
    NewFactorAnswer,
    RecoveryCodes,
)
from resources.access.actor import Actor
from resources.base.errors import Conflict, FieldProblem, InvalidInput
from resources.people.members import member_by_id
from resources.people.second_factor import (
    NewFactor,
    begin_second_factor,
    check,
    codes_left,
    confirm_second_factor,
    missing,
    remove_second_factor,
    renew_recovery_codes,
    required,
)
from resources.sessions.login import Login, check_password
from resources.sessions.refresh_tokens import LoginClient
from resources.sessions.throttle import admit, forget_failures

Result = TypeVar("Result")
router = APIRouter(tags=["people"])
_CODE = {"of now": {"code": "123456"}}
_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/api/v1/me/second-factor", response_model=FactorState, summary="Show your second factor")
async def state(member: Myself, services: WithServices) -> Response:
    """Tell whether you log in with a code, and how many recovery codes are left."""
    answer = await services.threads.reads.run(member.member_id, _state, services, member.member_id)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/me/second-factor",
    response_model=NewFactorAnswer,
    status_code=201,
    summary="Begin to set a second factor up",
    openapi_extra=json_body(BeginBody, {"with your password": {"password": "…"}}, required=False),
)
async def begin(request: Request, member: Myself, services: WithServices) -> Response:
    """Make a secret for your authenticator. It counts once you have confirmed it by a code."""
    body = await read_body(request, BeginBody, services.bodies, optional=True)
    client = client_of(request, services.addresses)
    made = await with_password(
        services.threads.passwords, client.address, _begin, services, member.member_id, body.password, client
    )
    answer = NewFactorAnswer(secret=made.secret, otpauth_url=made.otpauth_url)
    return Response(answer.model_dump_json(), status_code=201, media_type="application/json", headers=_NO_STORE)


@router.post(
    "/api/v1/me/second-factor/confirm",
    response_model=RecoveryCodes,
    summary="Confirm a second factor",
    openapi_extra=json_body(CodeBody, _CODE),
)
async def confirm(request: Request, member: Myself, services: WithServices) -> Response:
    """Let the second factor count, by a code of it; the answer has recovery codes, which are shown only now."""
    body = await read_body(request, CodeBody, services.bodies)
    codes = await services.threads.writes.run(
        member.member_id, _confirm, services, member.member_id, body.code, member.actor(request)
    )
    return _codes(codes)


@router.post(
    "/api/v1/me/second-factor/recovery-codes",
    response_model=RecoveryCodes,
    summary="Renew recovery codes",
    openapi_extra=json_body(CodeBody, _CODE),
)
async def renew(request: Request, member: Myself, services: WithServices) -> Response:
    """Make new recovery codes, which are shown only now; the earlier ones are good for nothing."""
    body = await read_body(request, CodeBody, services.bodies)
    by, client = member.actor(request), client_of(request, services.addresses)

    def work(session: Session) -> tuple[str, ...]:
        return renew_recovery_codes(session, member.member_id, by=by, now=services.clock())

    codes = await services.threads.writes.run(
        member.member_id, _with_code, services, member.member_id, body.code, client, work
    )
    return _codes(codes)


@router.delete(
    "/api/v1/me/second-factor",
    response_model=FactorState,
    summary="Take your second factor away",
    openapi_extra=json_body(CodeBody, _CODE),
)
async def remove(request: Request, member: Myself, services: WithServices) -> Response:
    """Log in by password alone from now on; it takes a code. All that you have open ends, this token as well."""
    body = await read_body(request, CodeBody, services.bodies)
    by, client = member.actor(request), client_of(request, services.addresses)

    def work(session: Session) -> FactorState:
        remove_second_factor(session, member.member_id, by=by, now=services.clock())
        return _state_in(session, services, member.member_id)

    answer = await services.threads.writes.run(
        member.member_id, _with_code, services, member.member_id, body.code, client, work
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _begin(services: Services, member_id: str, password: str | None, client: LoginClient) -> NewFactor:
    """Whoever has only got hold of a token shall not lock its owner out: the password is asked for, if there is one."""
    now = services.clock()
    with services.db.read() as session:
        member = member_by_id(session, member_id)
    if member.password_hash is not None:
        if password is None:
            raise invalid_fields([FieldProblem("password", "is needed to set a second factor up")])
        attempt, _ = check_password(services.db, Login(member.email, password, client), now=now)
        with services.db.write() as session:
            forget_failures(session, attempt)
    with services.db.write() as session:
        return begin_second_factor(session, member_id, now=now)


def _confirm(services: Services, member_id: str, code: str, by: Actor) -> tuple[str, ...]:
    with services.db.write() as session:
        return confirm_second_factor(session, member_id, code, by=by, now=services.clock())


def _with_code(
    services: Services, member_id: str, code: str, client: LoginClient, work: Callable[[Session], Result]
) -> Result:
    """Do what takes a code; wrong ones count as failed log-ins do.

    Raises:
        TooManyAttempts: too many have failed.
        Conflict: there is no second factor.
        InvalidInput: the code is not one of now.
    """
    now = services.clock()
    with services.db.write() as session:
        member = member_by_id(session, member_id)
        if not required(member):
            raise Conflict("You have no second factor; begin to set one up.")
        attempt = admit(session, member.email, client.address, now=now)
    with services.db.write() as session:
        if check(session, member_by_id(session, member_id), code, now):
            forget_failures(session, attempt)
            return work(session)
    told = "is not valid now, or was used; send the next one of your authenticator, or a recovery code"
    raise InvalidInput(f"The code {told}.", details=(FieldProblem("code", told),))


def _state(services: Services, member_id: str) -> FactorState:
    with services.db.read() as session:
        return _state_in(session, services, member_id)


def _state_in(session: Session, services: Services, member_id: str) -> FactorState:
    member = member_by_id(session, member_id)
    return FactorState(
        enabled=required(member),
        required=missing(member, services.settings.office_second_factor),
        recovery_codes_left=codes_left(session, member_id),
    )


def _codes(codes: tuple[str, ...]) -> Response:
    answer = RecoveryCodes(recovery_codes=codes)
    return Response(answer.model_dump_json(), media_type="application/json", headers=_NO_STORE)
