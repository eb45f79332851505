"""The people of a shop: list them, give them roles, take them out, leave, pass ownership on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Myself, Principal, require
from bento_service.api.people.invites import rank_of
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, foreign_cursor, pages_by_text
from bento_service.scheduling.threads import threaded
from bento_service.schemas.people.members import (
    KeyOfMember,
    MemberAnswer,
    MemberPage,
    MemberPatch,
    MemberRemoved,
    OwnershipBody,
)
from resources.access.actor import Actor
from resources.access.roles import TenantRole, tenant_role
from resources.base.errors import Conflict, Forbidden
from resources.base.tenant import TenantId
from resources.control_db.api_keys import list_api_keys
from resources.people.memberships import TeamMember, team_of
from resources.people.team import give_role, leave_team, pass_ownership, remove_from_team

router = APIRouter(tags=["people"])
Reader = Annotated[Principal, Depends(require("members:read"))]
Admin = Annotated[Principal, Depends(require("members:write"))]
Owner = Annotated[Principal, Depends(require("ownership:write"))]
_PAGES = pages_by_text("m")


@router.get("/api/v1/members", response_model=MemberPage, summary="List the people of the shop")
@threaded("reads")
def members(principal: Reader, services: WithServices, limit: PageLimit = 50, cursor: PageCursor = None) -> Response:
    """List who belongs to the shop, by e-mail."""
    with services.db.read() as session:
        rest = team_of(session, principal.tenant)
    last = _PAGES.place(cursor)
    if last is not None:
        places = [place for place, each in enumerate(rest, start=1) if each.id == last]
        if not places:
            raise foreign_cursor()
        rest = rest[places[0] :]
    shown, next_cursor = _PAGES.cut(rest, limit=limit, key=lambda each: each.id)
    page = MemberPage(members=tuple(MemberAnswer.of(each) for each in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.patch(
    "/api/v1/members/{member_id}",
    response_model=MemberAnswer,
    summary="Give a member another role",
    openapi_extra=json_body(MemberPatch, {"an admin": {"role": "admin"}}),
)
async def change(request: Request, principal: Admin, services: WithServices, member_id: str) -> Response:
    """Give a member another role, which holds within 5 seconds: none above your own, and not to somebody above you."""
    body = await read_body(request, MemberPatch, services.bodies)
    principal.check_tenant(body.tenant_id)
    role = tenant_role(body.role)
    changed = await services.threads.writes.run(
        principal.tenant.value, _change, services, principal, member_id, role, principal.actor(request)
    )
    return _answer(changed)


@router.delete("/api/v1/members/{member_id}", response_model=MemberRemoved, summary="Take a member out of the shop")
@threaded("writes")
def remove(request: Request, principal: Admin, services: WithServices, member_id: str) -> Response:
    """Take a member out: within 5 seconds no token of theirs opens the shop.

    Keys that they made stay as they are, and are named: whoever has seen one can still use it.
    """
    with services.db.write() as session:
        gone = remove_from_team(
            session,
            principal.tenant,
            member_id,
            own=rank_of(principal),
            by=principal.actor(request),
            now=services.clock(),
        )
    keys = [each for each in list_api_keys(services.db, principal.tenant) if each.made_by == gone.email]
    answer = MemberRemoved(
        id=gone.id,
        email=gone.email,
        api_keys=tuple(
            KeyOfMember(id=each.id, name=each.name, key_prefix=each.prefix)
            for each in keys
            if each.status_at(services.clock()) == "active"
        ),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.post("/api/v1/members/leave", response_model=MemberRemoved, summary="Leave the shop")
async def leave(request: Request, principal: Myself, services: WithServices) -> Response:
    """Take yourself out of the shop. The last owner cannot: pass ownership on first."""
    tenant = principal.standing.tenant
    if tenant is None:
        raise Conflict("You belong to no shop, so there is none to leave.")
    return await services.threads.writes.run(tenant.value, _leave, services, tenant, principal.actor(request))


@router.post(
    "/api/v1/ownership",
    response_model=MemberAnswer,
    summary="Pass ownership on",
    openapi_extra=json_body(OwnershipBody, {"to a member": {"member_id": "mem-0123456789abcdef"}}),
)
async def pass_on(request: Request, principal: Owner, services: WithServices) -> Response:
    """Make another member the owner in your place; you are an admin from then on."""
    _only_members(principal)
    body = await read_body(request, OwnershipBody, services.bodies)
    owner = await services.threads.writes.run(
        principal.tenant.value, _pass_on, services, principal, body.member_id, principal.actor(request)
    )
    return _answer(owner)


def _leave(services: Services, tenant: TenantId, by: Actor) -> Response:
    with services.db.write() as session:
        gone = leave_team(session, tenant, by.id, by=by, now=services.clock())
    return Response(MemberRemoved(id=gone.id, email=gone.email).model_dump_json(), media_type="application/json")


def _only_members(principal: Principal) -> None:
    if principal.kind != "member":
        raise Forbidden("This is about a person, and an API key is none: log in, and send the access token.")


def _change(services: Services, principal: Principal, member_id: str, role: TenantRole, by: Actor) -> TeamMember:
    with services.db.write() as session:
        give_role(session, principal.tenant, member_id, role, own=rank_of(principal), by=by, now=services.clock())
        return next(each for each in team_of(session, principal.tenant) if each.id == member_id)


def _pass_on(services: Services, principal: Principal, member_id: str, by: Actor) -> TeamMember:
    with services.db.write() as session:
        pass_ownership(session, principal.tenant, principal.key_id, member_id, by=by, now=services.clock())
        return next(each for each in team_of(session, principal.tenant) if each.id == member_id)


def _answer(member: TeamMember) -> Response:
    return Response(MemberAnswer.of(member).model_dump_json(), media_type="application/json")
