"""What is one's own: who one is, and where one is logged in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bento_service.api.auth import MemberPrincipal, Myself
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.schemas.accounts.answers import MeAnswer, SessionAnswer, SessionList
from bento_service.schemas.accounts.bodies import MePatch
from resources.access.actor import Actor
from resources.people.members import hold_member, member_by_id, rename_member
from resources.people.memberships import memberships_of
from resources.sessions.open_sessions import end_session, open_sessions

router = APIRouter(tags=["accounts"])


@router.get("/api/v1/me", response_model=MeAnswer, summary="Who am I")
@router.get("/api/v1/auth/me", response_model=MeAnswer, summary="Who am I")
async def me(principal: Myself, services: WithServices) -> Response:
    """Say who asks, in which shop, and what they may do there."""
    return _json(await services.threads.reads.run(principal.member_id, _me, services, principal))


@router.patch(
    "/api/v1/me",
    response_model=MeAnswer,
    summary="Change what is known of me",
    openapi_extra=json_body(MePatch, {"another name": {"name": "Jane"}}),
)
async def change_me(request: Request, principal: Myself, services: WithServices) -> Response:
    """Change one's name."""
    body = await read_body(request, MePatch, services.bodies)
    if body.name is not None:
        by = principal.actor(request)
        await services.threads.writes.run(principal.member_id, _rename, services, principal.member_id, body.name, by)
    return _json(await services.threads.reads.run(principal.member_id, _me, services, principal))


@router.get("/api/v1/me/sessions", response_model=SessionList, summary="Where am I logged in")
async def my_sessions(principal: Myself, services: WithServices) -> Response:
    """List where one is logged in: by tokens and by browsers, newest use first."""
    return _json(await services.threads.reads.run(principal.member_id, _sessions, services, principal))


@router.delete("/api/v1/me/sessions/{session_id}", status_code=204, summary="Log out elsewhere")
async def end_my_session(request: Request, principal: Myself, services: WithServices, session_id: str) -> Response:
    """End one of one's sessions; it holds within 5 seconds."""
    by = principal.actor(request)
    await services.threads.writes.run(principal.member_id, _end, services, principal.member_id, session_id, by)
    return Response(status_code=204)


def _me(services: Services, principal: MemberPrincipal) -> MeAnswer:
    with services.db.read() as session:
        member = member_by_id(session, principal.member_id)
        return MeAnswer.of(member, memberships_of(session, member.id), principal.standing)


def _rename(services: Services, member_id: str, name: str, by: Actor) -> None:
    with services.db.write() as session:
        rename_member(session, hold_member(session, member_id), name, by=by, now=services.clock())


def _sessions(services: Services, principal: MemberPrincipal) -> SessionList:
    with services.db.read() as session:
        found = open_sessions(session, principal.member_id, now=services.clock())
    return SessionList(sessions=tuple(SessionAnswer.of(each, principal.standing.session_id) for each in found))


def _end(services: Services, member_id: str, session_id: str, by: Actor) -> None:
    with services.db.write() as session:
        end_session(session, member_id, session_id, by=by, now=services.clock())


def _json(answer: MeAnswer | SessionList) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})
