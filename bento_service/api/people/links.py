"""Routes that need no credential: a password that was forgotten, and an address that is verified."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Myself
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.query import known_query
from bento_service.people.resets import promise_reset, reset_by_link
from bento_service.schemas.people.links import ForgotBody, MailPromised, OfMember, ResetBody, VerifyBody
from resources.access.actor import Actor
from resources.control_db.tables.people import MemberRow
from resources.people.members import member_by_id, one_email
from resources.people.verification import send_verification, verify_address

router = APIRouter(tags=["people"])
_OPEN: dict[str, Any] = {"dependencies": [Depends(known_query)]}
_FORGOT: dict[str, Any] = {
    "response_model": MailPromised,
    "status_code": 202,
    "openapi_extra": json_body(ForgotBody, {"jane": {"email": "jane@example.com"}}),
    **_OPEN,
}
_RESET: dict[str, Any] = {
    "response_model": OfMember,
    "openapi_extra": json_body(ResetBody, {"a new one": {"token": "…", "password": "four words that nobody guesses"}}),
    **_OPEN,
}


@router.post("/api/v1/auth/password/forgot", summary="Ask for a link to set the password anew", **_FORGOT)
@router.post("/api/v1/auth/forgot", summary="Ask for a link to set the password anew, short form", **_FORGOT)
async def forgot(request: Request, services: WithServices) -> Response:
    """Mail a link to the address, if somebody has an account with it; the answer is the same where nobody has."""
    body = await read_body(request, ForgotBody, services.bodies)
    email, address = one_email(body.email), services.addresses.of(request.scope)
    send = await promise_reset(services, email, address)
    return Response(
        MailPromised().model_dump_json(),
        status_code=202,
        media_type="application/json",
        background=send,
    )


@router.post("/api/v1/auth/password/reset", summary="Set the password anew", **_RESET)
@router.post("/api/v1/auth/reset", summary="Set the password anew, short form", **_RESET)
async def reset(request: Request, services: WithServices) -> Response:
    """Set the password that a link is for. Whoever was logged in as this member is logged out within 5 seconds."""
    body = await read_body(request, ResetBody, services.bodies)
    address, way = services.addresses.of(request.scope), way_of(request, services)
    member = await reset_by_link(services, body.token, body.password, way, address)
    return _of_member(member)


@router.post(
    "/api/v1/auth/verify",
    response_model=OfMember,
    summary="Verify an address",
    openapi_extra=json_body(VerifyBody, {"a link": {"token": "…"}}),
    **_OPEN,
)
async def verify(request: Request, services: WithServices) -> Response:
    """Note that mail to the member whom the link was sent to reaches them."""
    body = await read_body(request, VerifyBody, services.bodies)
    address = services.addresses.of(request.scope)
    member = await services.threads.writes.run(address, _verify, services, body.token, way_of(request, services))
    return _of_member(member)


@router.post(
    "/api/v1/auth/verify/resend", response_model=MailPromised, status_code=202, summary="Ask for a link to verify"
)
async def resend(member: Myself, services: WithServices) -> Response:
    """Mail the link by which you show that your address is yours; nothing is sent where that is known."""
    await services.threads.writes.run(member.member_id, _resend, services, member.member_id)
    return Response(MailPromised().model_dump_json(), status_code=202, media_type="application/json")


def way_of(request: Request, services: Services) -> Actor:
    """Return how a request came whose maker is known by a link alone."""
    return Actor(
        kind="system",
        id="link",
        name="link",
        source="api",
        address=services.addresses.of(request.scope),
        request_id=request.scope["state"]["request_id"],
    )


def _verify(services: Services, token: str, way: Actor) -> MemberRow:
    with services.db.write() as session:
        return verify_address(session, token, way=way, now=services.clock())


def _resend(services: Services, member_id: str) -> None:
    with services.db.write() as session:
        member = member_by_id(session, member_id)
        send_verification(session, member, site_url=services.settings.site_url, now=services.clock())


def _of_member(member: MemberRow) -> Response:
    return Response(OfMember(id=member.id, email=member.email).model_dump_json(), media_type="application/json")
