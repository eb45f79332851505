"""The people who run the platform: list, invite, change and take them out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import OfficePrincipal, require_office
from bento_service.dependencies import Services, WithServices
from bento_service.http.errors import invalid_fields
from bento_service.http.json_body import json_body, read_body
from bento_service.schemas.people.invites import InviteAnswer
from bento_service.schemas.people.members import OfficeInviteBody, OfficeMember, OfficePatch, OfficePeople
from resources.access.actor import Actor
from resources.access.roles import office_role
from resources.base.errors import FieldProblem
from resources.people.invites import Invite, invite_to_office, list_invites, revoke_invite
from resources.people.members import Member, one_email, set_member_status
from resources.people.office import give_office_role, list_office, of_office, remove_from_office
from resources.people.second_factor import remove_second_factor

router = APIRouter(tags=["office"])
Boss = Annotated[OfficePrincipal, Depends(require_office("people:write"))]


@router.get("/api/v1/admin/people", response_model=OfficePeople, summary="List the people of the platform")
async def people(principal: Boss, services: WithServices) -> Response:
    """List who works for the platform, by e-mail, and who is invited to."""
    answer = await services.threads.reads.run(principal.id, _list, services)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/admin/people",
    response_model=InviteAnswer,
    status_code=201,
    summary="Invite somebody to the platform",
    openapi_extra=json_body(OfficeInviteBody, {"support": {"email": "jane@example.com", "role": "support_agent"}}),
)
async def invite(request: Request, principal: Boss, services: WithServices) -> Response:
    """Mail a link to somebody, by which they come to work for the platform."""
    body = await read_body(request, OfficeInviteBody, services.bodies)
    made = await services.threads.writes.run(principal.id, _invite, services, body, principal.actor(request))
    return Response(InviteAnswer.of(made).model_dump_json(), status_code=201, media_type="application/json")


@router.delete(
    "/api/v1/admin/people/invites/{invite_id}", response_model=InviteAnswer, summary="Take an invitation back"
)
async def revoke(request: Request, principal: Boss, services: WithServices, invite_id: str) -> Response:
    """Take an invitation into the office back: its link opens nothing any more."""
    revoked = await services.threads.writes.run(principal.id, _revoke, services, invite_id, principal.actor(request))
    return Response(InviteAnswer.of(revoked).model_dump_json(), media_type="application/json")


@router.patch(
    "/api/v1/admin/people/{member_id}",
    response_model=OfficeMember,
    summary="Change somebody of the platform",
    openapi_extra=json_body(OfficePatch, {"a developer": {"role": "developer"}, "stopped": {"status": "suspended"}}),
)
async def change(request: Request, principal: Boss, services: WithServices, member_id: str) -> Response:
    """Give somebody of the platform another role, or suspend them; the last super admin stays one."""
    body = await read_body(request, OfficePatch, services.bodies)
    if body.role is None and body.status is None:
        raise invalid_fields([FieldProblem("body", "has nothing to change; send role or status")])
    changed = await services.threads.writes.run(
        principal.id, _change, services, member_id, body, principal.actor(request)
    )
    return _answer(changed)


@router.delete(
    "/api/v1/admin/people/{member_id}", response_model=OfficeMember, summary="Take somebody out of the platform"
)
async def remove(request: Request, principal: Boss, services: WithServices, member_id: str) -> Response:
    """Take the role of the platform from somebody, who stays a member: what they have open ends within 5 seconds."""
    gone = await services.threads.writes.run(principal.id, _remove, services, member_id, principal.actor(request))
    return _answer(gone)


@router.delete(
    "/api/v1/admin/people/{member_id}/second-factor",
    response_model=OfficeMember,
    summary="Take somebody's second factor away",
)
async def reset_second_factor(request: Request, principal: Boss, services: WithServices, member_id: str) -> Response:
    """Let somebody, of the platform or of a shop, log in by password alone, who has lost authenticator and codes."""
    changed = await services.threads.writes.run(
        principal.id, _without_factor, services, member_id, principal.actor(request)
    )
    return _answer(changed)


def _list(services: Services) -> OfficePeople:
    with services.db.read() as session:
        return OfficePeople(
            people=tuple(OfficeMember.of(each) for each in list_office(session)),
            invites=tuple(InviteAnswer.of(each) for each in list_invites(session, None, services.clock())),
        )


def _invite(services: Services, body: OfficeInviteBody, by: Actor) -> Invite:
    with services.db.write() as session:
        made, _ = invite_to_office(
            session,
            one_email(body.email),
            office_role(body.role),
            by=by,
            site_url=services.settings.site_url,
            now=services.clock(),
        )
        return made


def _revoke(services: Services, invite_id: str, by: Actor) -> Invite:
    with services.db.write() as session:
        return revoke_invite(session, None, invite_id, by=by, now=services.clock())


def _change(services: Services, member_id: str, body: OfficePatch, by: Actor) -> Member:
    now = services.clock()
    with services.db.write() as session:
        row = of_office(session, member_id)
        if body.role is not None:
            row = give_office_role(session, member_id, office_role(body.role), by=by, now=now)
        if body.status is not None:
            row = set_member_status(session, member_id, body.status, by=by, now=now)
        return Member.of(row)


def _remove(services: Services, member_id: str, by: Actor) -> Member:
    with services.db.write() as session:
        return Member.of(remove_from_office(session, member_id, by=by, now=services.clock()))


def _without_factor(services: Services, member_id: str, by: Actor) -> Member:
    with services.db.write() as session:
        return Member.of(remove_second_factor(session, member_id, by=by, now=services.clock()))


def _answer(member: Member) -> Response:
    return Response(OfficeMember.of(member).model_dump_json(), media_type="application/json")
