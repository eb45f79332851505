"""Invitations into a shop, and what the link of one opens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.access.logging_in import client_of, with_password
from bento_service.api.auth import Principal, member_if_any, require
from bento_service.api.people.links import way_of
from bento_service.dependencies import Services, WithServices
from bento_service.http.errors import invalid_fields
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, foreign_cursor, pages_by_text
from bento_service.http.query import known_query
from bento_service.scheduling.threads import threaded
from bento_service.schemas.people.invites import (
    AcceptBody,
    Accepted,
    InviteAnswer,
    InviteBody,
    InvitePage,
    OpenInviteAnswer,
)
from resources.access.actor import Actor
from resources.access.roles import TenantRole, tenant_role
from resources.base.errors import FieldProblem
from resources.control_db.tables.people import MemberRow
from resources.people.invites import (
    Invite,
    OpenInvite,
    accept_as_member,
    accept_as_new,
    check_rank,
    find_invite,
    invite,
    list_invites,
    resend_invite,
    revoke_invite,
)
from resources.people.members import one_email
from resources.people.memberships import Membership
from resources.people.passwords import hash_password
from resources.sessions.login import Login, log_in

router = APIRouter(tags=["people"])
Admin = Annotated[Principal, Depends(require("members:write"))]
Reader = Annotated[Principal, Depends(require("members:read"))]
_PAGES = pages_by_text("i")
_EXAMPLES = {"an editor": {"email": "jane@example.com", "role": "editor"}}
_ACCEPT = {
    "a new account": {"name": "Jane", "password": "four words that nobody guesses"},
    "the one there is": {"password": "four words that nobody guesses", "code": "123456"},
    "with an access token": {},
}


@router.get("/api/v1/invites", response_model=InvitePage, summary="List invitations")
@threaded("reads")
def invites(principal: Reader, services: WithServices, limit: PageLimit = 50, cursor: PageCursor = None) -> Response:
    """List invitations that were neither accepted nor taken back, newest first."""
    with services.db.read() as session:
        rest = list_invites(session, principal.tenant, services.clock())
    last = _PAGES.place(cursor)
    if last is not None:
        places = [place for place, each in enumerate(rest, start=1) if each.id == last]
        if not places:
            raise foreign_cursor()
        rest = rest[places[0] :]
    shown, next_cursor = _PAGES.cut(rest, limit=limit, key=lambda each: each.id)
    page = InvitePage(invites=tuple(InviteAnswer.of(each) for each in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/invites",
    response_model=InviteAnswer,
    status_code=201,
    summary="Invite somebody",
    openapi_extra=json_body(InviteBody, _EXAMPLES),
)
async def make(request: Request, principal: Admin, services: WithServices) -> Response:
    """Mail a link to somebody, by which they come into the shop; an open one of the same address is taken back.

    The link is in the mail alone: whoever opens it has shown that the address is theirs.
    """
    body = await read_body(request, InviteBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    email, role = one_email(body.email), tenant_role(body.role)
    check_rank(rank_of(principal), role)
    made = await services.threads.writes.run(
        principal.tenant.value, _make, services, principal, email, role, principal.actor(request)
    )
    return _answer(made, 201)


@router.delete("/api/v1/invites/{invite_id}", response_model=InviteAnswer, summary="Take an invitation back")
@threaded("writes")
def revoke(request: Request, principal: Admin, services: WithServices, invite_id: str) -> Response:
    """Take an invitation back: its link opens nothing any more. Taking it back again changes nothing."""
    with services.db.write() as session:
        revoked = revoke_invite(session, principal.tenant, invite_id, by=principal.actor(request), now=services.clock())
    return _answer(revoked)


@router.post("/api/v1/invites/{invite_id}/resend", response_model=InviteAnswer, summary="Send an invitation again")
@threaded("writes")
def resend(request: Request, principal: Admin, services: WithServices, invite_id: str) -> Response:
    """Mail a new link, which is good for a week; the one before opens nothing any more."""
    with services.db.write() as session:
        sent, _ = resend_invite(
            session,
            principal.tenant,
            invite_id,
            by=principal.actor(request),
            site_url=services.settings.site_url,
            now=services.clock(),
        )
    return _answer(sent)


@router.get(
    "/api/v1/invites/token/{token}",
    response_model=OpenInviteAnswer,
    summary="Show what a link invites to",
    dependencies=[Depends(known_query)],
)
async def show(request: Request, services: WithServices, token: str) -> Response:
    """Show what a link invites to. It can be opened as often as one likes."""
    address = services.addresses.of(request.scope)
    found = await services.threads.reads.run(address, _find, services, token)
    return Response(OpenInviteAnswer.of(found).model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/invites/token/{token}/accept",
    response_model=Accepted,
    summary="Accept an invitation",
    openapi_extra=json_body(AcceptBody, _ACCEPT, required=False),
    dependencies=[Depends(known_query)],
)
async def accept(request: Request, services: WithServices, token: str) -> Response:
    """Come into the shop, or the office, that a link invites to.

    With the access token of the invited member the body may be left out. Without, somebody who has an account sends its
    password, and its code where it has a second factor; anybody else a name and a new password.
    """
    body = await read_body(request, AcceptBody, services.bodies, optional=True)
    address, threads = services.addresses.of(request.scope), services.threads
    member = await member_if_any(request, services)
    found = await threads.reads.run(address, _find, services, token)
    way = way_of(request, services)
    if member is not None:
        member_id = await threads.writes.run(address, _accept_as_member, services, token, member.member_id, way)
    elif body.password is None:
        told = "is needed: a new one, or that of the account which the address has; or send an access token"
        raise invalid_fields([FieldProblem("password", told)])
    elif found.has_account:
        client = client_of(request, services.addresses)
        login = Login(email=found.invite.email, password=body.password, client=client, code=body.code)
        member_id = await with_password(threads.passwords, address, _accept_by_password, services, token, login, way)
    else:
        hashed = await threads.passwords.run(address, hash_password, body.password, email=found.invite.email)
        member_id = await threads.writes.run(address, _accept_as_new, services, token, body.name, hashed, way)
    answer = Accepted(
        member_id=member_id,
        email=found.invite.email,
        tenant_id=None if found.invite.tenant is None else found.invite.tenant.value,
        role=found.invite.role,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def rank_of(principal: Principal) -> TenantRole:
    """Return the role whose power over other roles a credential has: that of an admin, or of an owner."""
    return "owner" if "ownership:write" in principal.scopes else "admin"


def _make(services: Services, principal: Principal, email: str, role: TenantRole, by: Actor) -> Invite:
    with services.db.write() as session:
        made, _ = invite(
            session, principal.tenant, email, role, by=by, site_url=services.settings.site_url, now=services.clock()
        )
        return made


def _find(services: Services, token: str) -> OpenInvite:
    with services.db.read() as session:
        return find_invite(session, token, services.clock())


def _accept_as_new(services: Services, token: str, name: str, hashed: str, way: Actor) -> str:
    with services.db.write() as session:
        return accept_as_new(session, token, name=name, password_hash=hashed, way=way, now=services.clock()).id


def _accept_as_member(services: Services, token: str, member_id: str, way: Actor) -> str:
    with services.db.write() as session:
        return accept_as_member(session, token, member_id, way=way, now=services.clock()).id


def _accept_by_password(services: Services, token: str, login: Login, way: Actor) -> str:
    now = services.clock()

    def begin(session: Session, member: MemberRow, _: Membership | None) -> str:
        return accept_as_member(session, token, member.id, way=way, now=now).id

    return log_in(services.db, login, begin, now=now)


def _answer(made: Invite, status: int = 200) -> Response:
    return Response(InviteAnswer.of(made).model_dump_json(), status_code=status, media_type="application/json")
