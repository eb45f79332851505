"""Signing up, logging in and out, and a new password: what tokens of people come from, and how they end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.access.logging_in import client_of, with_password
from bento_service.api.auth import Myself
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.query import QueryNames
from bento_service.schemas.accounts.answers import LoginAnswer
from bento_service.schemas.accounts.bodies import (
    LoginBody,
    LogoutBody,
    PasswordChangeBody,
    RefreshBody,
    SignupBody,
)
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow
from resources.people.memberships import Membership
from resources.sessions.access_tokens import claims_from, signed
from resources.sessions.login import Begin, Login, change_password, log_in
from resources.sessions.refresh_tokens import LoginClient, Refreshed, begin_family, log_out, refresh
from resources.signup.signing_up import SignUp, sign_up
from resources.tenancy.provisioning import NewTenant

router = APIRouter(tags=["accounts"])
_NO_STORE = {"Cache-Control": "no-store"}
_PASSWORD = "four words nobody guesses"
_SIGNUP = {
    "a shop": {
        "email": "jane@example.com",
        "password": _PASSWORD,
        "tenant": {"name": "Blue Shop", "slug": "blue-shop", "currency": "EUR", "timezone": "Europe/Berlin"},
    }
}


async def _stranger(request: Request) -> LoginClient:
    """Return where a request without a credential comes from; the middleware has counted it for its address."""
    services: Services = request.app.state.services
    names: QueryNames = request.app.state.query
    names.check(request)
    return client_of(request, services.addresses)


Stranger = Annotated[LoginClient, Depends(_stranger)]


@router.post(
    "/api/v1/auth/signup",
    response_model=LoginAnswer,
    status_code=201,
    summary="Sign up",
    openapi_extra=json_body(SignupBody, _SIGNUP),
)
async def sign_up_route(request: Request, client: Stranger, services: WithServices) -> Response:
    """Make a shop and its owner, who is logged in by that; who has an account shows its password, and owns one more."""
    body = await read_body(request, SignupBody, services.bodies)
    shop = NewTenant(
        id=TenantId.parse(body.tenant.slug),
        name=body.tenant.name,
        currency=body.tenant.currency,
        timezone=body.tenant.timezone,
    )
    wanted = SignUp(login=Login(body.email, body.password, client, code=body.code), name=body.name, shop=shop)
    now = services.clock()
    refreshed = await with_password(
        services.threads.passwords,
        client.address,
        sign_up,
        services.db,
        services.lake,
        wanted,
        _family(client, now),
        settings=services.settings,
        now=now,
    )
    return await _tokens(services, refreshed, status=201)


@router.post(
    "/api/v1/auth/login",
    response_model=LoginAnswer,
    summary="Log in",
    openapi_extra=json_body(LoginBody, {"a person": {"email": "jane@example.com", "password": _PASSWORD}}),
)
async def log_in_route(request: Request, client: Stranger, services: WithServices) -> Response:
    """Show e-mail and password, and the code of the second factor where there is one, for a pair of tokens."""
    body = await read_body(request, LoginBody, services.bodies)
    tenant = None if body.tenant_id is None else TenantId.parse(body.tenant_id)
    login = Login(body.email, body.password, client, code=body.code, tenant=tenant)
    now = services.clock()
    refreshed = await with_password(
        services.threads.passwords, client.address, log_in, services.db, login, _family(client, now), now=now
    )
    return await _tokens(services, refreshed)


@router.post(
    "/api/v1/auth/refresh",
    response_model=LoginAnswer,
    summary="Get new tokens",
    openapi_extra=json_body(RefreshBody, {"the same shop": {"refresh_token": "rt_…"}}),
)
async def refresh_route(request: Request, client: Stranger, services: WithServices) -> Response:
    """Take a refresh token for a new pair; with `tenant_id` for another shop. One that was used ends the log-in."""
    body = await read_body(request, RefreshBody, services.bodies)
    tenant = None if body.tenant_id is None else TenantId.parse(body.tenant_id)
    refreshed = await services.threads.writes.run(
        client.address, refresh, services.db, body.refresh_token, client, tenant=tenant, now=services.clock()
    )
    return await _tokens(services, refreshed)


@router.post(
    "/api/v1/auth/logout",
    status_code=204,
    summary="Log out",
    openapi_extra=json_body(LogoutBody, {"this log-in": {"refresh_token": "rt_…"}}),
)
async def log_out_route(request: Request, client: Stranger, services: WithServices) -> Response:
    """End the log-in that a refresh token belongs to; its access tokens end within 5 seconds. Twice changes nothing."""
    body = await read_body(request, LogoutBody, services.bodies)
    await services.threads.writes.run(
        client.address, log_out, services.db, body.refresh_token, client, now=services.clock()
    )
    return Response(status_code=204, headers=_NO_STORE)


@router.post(
    "/api/v1/auth/password/change",
    response_model=LoginAnswer,
    summary="Change the password",
    openapi_extra=json_body(
        PasswordChangeBody, {"another one": {"current_password": _PASSWORD, "new_password": "four other words to keep"}}
    ),
)
async def change_password_route(request: Request, principal: Myself, services: WithServices) -> Response:
    """Set another password: whoever is logged in by the old one is logged out, and this answer logs in again."""
    body = await read_body(request, PasswordChangeBody, services.bodies)
    client = client_of(request, services.addresses)
    now = services.clock()
    refreshed = await with_password(
        services.threads.passwords,
        client.address,
        change_password,
        services.db,
        principal.member_id,
        body.current_password,
        body.new_password,
        _family(client, now),
        client,
        now=now,
    )
    return await _tokens(services, refreshed)


def _family(client: LoginClient, now: datetime) -> Begin[Refreshed]:
    def begin(session: Session, member: MemberRow, membership: Membership | None) -> Refreshed:
        return begin_family(session, member, membership, client, now=now)

    return begin


async def _tokens(services: Services, refreshed: Refreshed, *, status: int = 200) -> Response:
    now = services.clock()
    key = await services.threads.keys.run("", services.signing_keys.signer, now)
    membership = refreshed.membership
    claims = claims_from(
        now,
        member_id=refreshed.member.id,
        version=refreshed.member.version,
        shop=None if membership is None else (membership.tenant.value, membership.role),
        session_id=refreshed.family,
    )
    answer = LoginAnswer.of(refreshed, signed(claims, key))
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json", headers=_NO_STORE)
