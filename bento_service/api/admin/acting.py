"""Acting for a tenant: somebody of the office sees what a member sees, for half an hour, marked in every entry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import OfficePrincipal, require_of_the_office, require_office
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.schemas.admin.audit import ActingAnswer, ActingBody, ActingEnded
from resources.access.actor import Actor
from resources.acting.acting import ACTING_TIME, ActingFor, ActingRequest, begin_acting, end_acting
from resources.base.errors import Forbidden
from resources.people.members import member_by_id
from resources.sessions.access_tokens import Acting, claims_from, signed

router = APIRouter(tags=["acting"])
Supporter = Annotated[OfficePrincipal, Depends(require_office("act:read"))]
WhoActs = Annotated[OfficePrincipal, Depends(require_of_the_office())]
_EXAMPLE = {"tenant_id": "my-shop", "reason": "The shop asks why an item is missing", "ticket": "4711"}
_BODY = json_body(ActingBody, {"read only": _EXAMPLE})


@router.post("/api/v1/admin/impersonate", response_model=ActingAnswer, status_code=201, openapi_extra=_BODY)
@router.post("/api/v1/admin/act", response_model=ActingAnswer, status_code=201, openapi_extra=_BODY)
async def begin(request: Request, principal: Supporter, services: WithServices) -> Response:
    """Begin to act for a tenant, read-only or, as a super admin, with writing. Its owners are told by mail.

    The token opens what the member may do, without keys, members, ownership, billing and erasures. It ends after 30
    minutes, or by DELETE, and with the next one.
    """
    body = await read_body(request, ActingBody, services.bodies)
    if principal.kind == "key":
        raise Forbidden("A person acts for a shop, and an API key is none: log in, and send the access token.")
    if body.write and "act:write" not in principal.permissions:
        raise Forbidden("Your role may look at a shop, and change nothing: leave out write, or ask a super admin.")
    answer = await services.threads.writes.run(
        principal.id, _begin, services, principal, body.request(), principal.actor(request)
    )
    headers = {"Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), status_code=201, media_type="application/json", headers=headers)


@router.delete("/api/v1/admin/impersonate", response_model=ActingEnded)
@router.delete("/api/v1/admin/act", response_model=ActingEnded)
async def end(request: Request, principal: WhoActs, services: WithServices) -> Response:
    """Stop acting, by one's own token or by the one for acting: within 5 seconds no worker takes that any more."""
    ended = await services.threads.writes.run(principal.id, _end, services, principal.actor(request))
    return Response(ActingEnded(ended=ended).model_dump_json(), media_type="application/json")


def _begin(services: Services, principal: OfficePrincipal, asked: ActingRequest, by: Actor) -> ActingAnswer:
    now = services.clock()
    with services.db.write() as session:
        acting = begin_acting(session, asked, by=by, now=now)
        version = member_by_id(session, principal.id).version
    return ActingAnswer.of(acting, _token(services, principal.id, version, acting, now), now)


def _token(services: Services, member_id: str, version: int, acting: ActingFor, now: datetime) -> str:
    claims = claims_from(now, member_id=member_id, version=version, seconds=int(ACTING_TIME.total_seconds()))
    said = Acting(id=acting.id, tenant=acting.tenant.value, write=acting.writes)
    return signed(claims.model_copy(update={"act": said}), services.signing_keys.signer(now))


def _end(services: Services, by: Actor) -> int:
    with services.db.write() as session:
        return end_acting(session, by.id, by=by, now=services.clock())
