"""Accounts, made and listed by the platform for every shop, and by the admins of a shop for their own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bento_service.api.auth import OfficePrincipal, Principal, require_office_or_shop
from bento_service.api.people.invites import rank_of
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_text
from bento_service.schemas.people.members import AccountAnswer, AccountBody, AccountPage
from resources.access.actor import Actor
from resources.access.roles import OFFICE_ROLES, office_role, tenant_role
from resources.base.errors import FieldProblem, Forbidden, InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.people.directory import Person, list_people
from resources.people.invites import check_rank
from resources.people.members import Member, one_email, set_office_role
from resources.people.memberships import add_membership
from resources.people.passwords import hash_password
from resources.people.team import create_user

router = APIRouter(tags=["people"])
Manager = Annotated[OfficePrincipal | Principal, Depends(require_office_or_shop("people:write", "members:write"))]
_PAGES = pages_by_text("u")
_EXAMPLES: dict[str, Any] = {
    "an editor": {
        "tenant_id": "blue-shop",
        "email": "jane@example.com",
        "password": "four words that nobody guesses",
        "role": "editor",
    }
}


@router.get("/api/v1/admin/users", response_model=AccountPage, summary="List accounts")
async def users(
    principal: Manager,
    services: WithServices,
    tenant_id: Annotated[str | None, Query(max_length=63, description="Only those of this shop.")] = None,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List everybody who has an account, or those of a shop; to an admin of a shop, those of it alone."""
    tenant = _tenant(principal, tenant_id)
    after = _PAGES.place(cursor)
    found = await services.threads.reads.run(_name(principal), _list, services, tenant, limit + 1, after)
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda each: each.member.id)
    page = AccountPage(users=tuple(AccountAnswer.of(each) for each in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/admin/users",
    response_model=AccountAnswer,
    status_code=201,
    summary="Make an account",
    openapi_extra=json_body(AccountBody, _EXAMPLES),
)
async def make(request: Request, principal: Manager, services: WithServices) -> Response:
    """Make an account with a password that you choose, for somebody who has none; whoever has one is invited instead.

    The address counts as not verified until the person has opened a link that was mailed to it.
    """
    body = await read_body(request, AccountBody, services.bodies)
    email, threads = one_email(body.email), services.threads
    office = body.role in OFFICE_ROLES
    tenant = None if office else _tenant(principal, body.tenant_id)
    if office and not isinstance(principal, OfficePrincipal):
        raise Forbidden(f"The role {body.role} is one of the platform; a super admin gives it.")
    if office and body.tenant_id is not None:
        raise _wrong("tenant_id", f"is left out with {body.role}, which is a role of the platform")
    if not office and tenant is None:
        raise _wrong("tenant_id", "is needed: the shop that the person is to belong to")
    if isinstance(principal, Principal):
        check_rank(rank_of(principal), tenant_role(body.role))
    hashed = await threads.passwords.run(_name(principal), hash_password, body.password, email=email)
    made = await threads.writes.run(
        _name(principal), _make, services, tenant, (email, body.name, hashed), body.role, principal.actor(request)
    )
    return Response(AccountAnswer.of(made).model_dump_json(), status_code=201, media_type="application/json")


def _tenant(principal: OfficePrincipal | Principal, tenant_id: str | None) -> TenantId | None:
    if isinstance(principal, Principal):
        principal.check_tenant(tenant_id)
        return principal.tenant
    return None if tenant_id is None else TenantId.parse(tenant_id)


def _name(principal: OfficePrincipal | Principal) -> str:
    return principal.tenant.value if isinstance(principal, Principal) else principal.id


def _list(services: Services, tenant: TenantId | None, limit: int, after: str | None) -> tuple[Person, ...]:
    if tenant is not None:
        get_tenant(services.db, tenant)
    with services.db.read() as session:
        return list_people(session, tenant, limit=limit, after=after)


def _make(services: Services, tenant: TenantId | None, who: tuple[str, str, str], role: str, by: Actor) -> Person:
    (email, name, hashed), now = who, services.clock()
    if tenant is not None:
        get_tenant(services.db, tenant)
    with services.db.write() as session:
        row = create_user(session, tenant, email, name=name, password_hash=hashed, by=by, now=now)
        if tenant is None:
            set_office_role(session, row.id, office_role(role), by=by, now=now)
            return Person(Member.of(row), ())
        given = tenant_role(role)
        add_membership(session, row, tenant, given, by=by, now=now)
        return Person(Member.of(row), ((tenant.value, given),))


def _wrong(field: str, told: str) -> InvalidInput:
    return InvalidInput(f"{field} {told}.", details=(FieldProblem(field, told),))
