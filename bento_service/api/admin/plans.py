"""Plans and quotas: what a shop has and uses, asking for another plan, and the office's side of both."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.responses import Response

from bento_service.api.auth import OfficePrincipal, Principal, require, require_office
from bento_service.dependencies import Services, WithServices
from bento_service.http.errors import invalid_fields, problems_of
from bento_service.http.json_body import json_body, read_body
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.plans import (
    MeterAnswer,
    OverrideAnswer,
    OverrideBody,
    OverrideList,
    PlanAnswer,
    PlanBody,
    PlanChanged,
    PlanChoice,
    PlanList,
    PlanUse,
    PlanWish,
    Wish,
)
from bento_service.schemas.common import Answer
from resources.access.actor import Actor
from resources.base.tenant import TenantId
from resources.plans.allowances import Allowance, allowance_of
from resources.plans.assigned import Override, list_overrides, put_on_plan, put_override, remove_override
from resources.plans.effects import effect_of, on_plan, tenants_on
from resources.plans.model import Plan
from resources.plans.month import Month
from resources.plans.plans import find_plan, list_plans, put_plan
from resources.plans.requests import ask_for_plan, open_request
from resources.plans.use import use_of

router = APIRouter(tags=["plans"])
Reader = Annotated[Principal, Depends(require("analytics:read", "admin"))]
Payer = Annotated[Principal, Depends(require("billing:write", "admin"))]
PlanReader = Annotated[OfficePrincipal, Depends(require_office("tenants:read"))]
PlanWriter = Annotated[OfficePrincipal, Depends(require_office("plans:write"))]
DryRun = Annotated[bool, Query(description="Change nothing, and tell which tenants would be over a limit.")]
_PLANS, _OF_TENANT = "/api/v1/admin/plans", "/api/v1/admin/tenants/{tenant_id}"
_PLAN = {
    "a plan": {
        "name": "Shop",
        "price": "49 € a month",
        "limits": {"requests_per_second": 50, "calls": 1_000_000, "seats": 10},
        "features": ["search", "experiments"],
        "at_limit": {"calls": "bill"},
    }
}
_OVERRIDE = {"more calls in December": {"amount": 2_000_000, "reason": "sale", "ends_at": "2027-01-01T00:00:00Z"}}


@router.get("/api/v1/plan", response_model=PlanUse, summary="Show the plan and what is used of it")
@threaded("reads")
def plan(principal: Reader, services: WithServices) -> Response:
    """Show the plan, every limit with what is used of it, what it will be at the end of the month, and what happens
    at 100 %."""
    with services.db.read() as session:
        return _answer(_use(session, principal.tenant, services.clock()))


@router.post(
    "/api/v1/plan/request",
    response_model=Wish,
    status_code=202,
    summary="Ask for another plan",
    openapi_extra=json_body(PlanWish, {"a larger one": {"plan": "business", "note": "We open a second shop."}}),
)
async def ask(request: Request, principal: Payer, services: WithServices) -> Response:
    """Ask the operator of this service for another plan; who may change plans is mailed."""
    body = await read_body(request, PlanWish, services.bodies)

    def store() -> Wish:
        with services.db.write() as session:
            by, now = principal.actor(request), services.clock()
            row = ask_for_plan(session, principal.tenant, body.plan, note=body.note.strip(), by=by, now=now)
            return Wish(plan=row.plan, note=row.note, asked_by=row.asked_by, asked_at=row.asked_at)

    return _answer(await services.threads.writes.run(principal.tenant.value, store), 202)


@router.get(_PLANS, response_model=PlanList, summary="List plans")
async def plans(principal: PlanReader, services: WithServices) -> Response:
    """List all plans, with the number of shops on each."""

    def read() -> PlanList:
        with services.db.read() as session:
            found = tuple(PlanAnswer.of(each, tenants=tenants_on(session, each.id)) for each in list_plans(session))
        return PlanList(plans=found)

    return _answer(await services.threads.reads.run("", read))


@router.get(_PLANS + "/{plan_id}", response_model=PlanAnswer, summary="Show a plan")
async def one_plan(principal: PlanReader, services: WithServices, plan_id: str) -> Response:
    """Show a plan."""

    def read() -> PlanAnswer:
        with services.db.read() as session:
            return PlanAnswer.of(find_plan(session, plan_id), tenants=tenants_on(session, plan_id))

    return _answer(await services.threads.reads.run("", read))


@router.put(
    _PLANS + "/{plan_id}",
    response_model=PlanChanged,
    summary="Make or change a plan",
    openapi_extra=json_body(PlanBody, _PLAN),
)
async def change_plan(
    request: Request, principal: PlanWriter, services: WithServices, plan_id: str, dry_run: DryRun = False
) -> Response:
    """Make a plan, or change it for every shop that is on it; within 3 seconds every worker knows."""
    body = await read_body(request, PlanBody, services.bodies)
    try:
        new = Plan(id=plan_id, **body.model_dump(exclude={"limits"}), limits=body.limits)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid_fields(problems_of(found, sent={"id": plan_id, **body.model_dump()})) from None

    def store() -> PlanChanged:
        now = services.clock()
        with services.db.read() as session:
            effect = effect_of(session, new, now=now)
        if not dry_run:
            with services.db.write() as session:
                put_plan(session, new, by=principal.actor(request), now=now)
        return PlanChanged.of(new, effect, dry_run=dry_run)

    return _answer(await services.threads.writes.run("", store))


@router.get(_OF_TENANT + "/plan", response_model=PlanUse, summary="Show a shop's plan and what is used of it")
async def plan_of(principal: PlanReader, services: WithServices, tenant_id: str) -> Response:
    """Show what `GET /api/v1/plan` shows the shop."""

    def read() -> PlanUse:
        with services.db.read() as session:
            return _use(session, TenantId.parse(tenant_id), services.clock())

    return _answer(await services.threads.reads.run("", read))


@router.put(
    _OF_TENANT + "/plan",
    response_model=PlanUse,
    summary="Put a shop on a plan",
    openapi_extra=json_body(PlanChoice, {"a larger one": {"plan": "business"}}),
)
async def choose_plan(
    request: Request, principal: PlanWriter, services: WithServices, tenant_id: str, dry_run: DryRun = False
) -> Response:
    """Put a shop on a plan, which answers what it has asked for. The answer is what is used of the new limits."""
    body = await read_body(request, PlanChoice, services.bodies)
    return await _chosen(services, TenantId.parse(tenant_id), body.plan, principal.actor(request), dry_run)


@router.delete(_OF_TENANT + "/plan", response_model=PlanUse, summary="Take a shop off its plan")
async def drop_plan(request: Request, principal: PlanWriter, services: WithServices, tenant_id: str) -> Response:
    """Put a shop on the plan of those that were never put on one."""
    return await _chosen(services, TenantId.parse(tenant_id), None, principal.actor(request), False)


@router.get(_OF_TENANT + "/quotas", response_model=OverrideList, summary="List a shop's exceptions")
async def quotas(principal: PlanReader, services: WithServices, tenant_id: str) -> Response:
    """List the limits that are others than the plan's, those that have ended among them."""

    def read() -> OverrideList:
        now = services.clock()
        with services.db.read() as session:
            found = list_overrides(session, TenantId.parse(tenant_id))
        return OverrideList(quotas=tuple(OverrideAnswer.of(each, now=now) for each in found))

    return _answer(await services.threads.reads.run("", read))


@router.put(
    _OF_TENANT + "/quotas/{meter}",
    response_model=OverrideAnswer,
    summary="Make an exception",
    openapi_extra=json_body(OverrideBody, _OVERRIDE),
)
async def make_exception(
    request: Request, principal: PlanWriter, services: WithServices, tenant_id: str, meter: str
) -> Response:
    """Give a shop another limit than its plan's, with a reason, until a time or for good."""
    body = await read_body(request, OverrideBody, services.bodies)
    tenant = TenantId.parse(tenant_id)

    def store() -> OverrideAnswer:
        now, by = services.clock(), principal.actor(request)
        wanted = Override(meter, body.amount, body.reason, body.ends_at, now, by.name)
        with services.db.write() as session:
            made = put_override(session, tenant, wanted, by=by, now=now)
        return OverrideAnswer.of(made, now=now)

    return _answer(await services.threads.writes.run("", store))


@router.delete(_OF_TENANT + "/quotas/{meter}", response_model=PlanUse, summary="Remove an exception")
async def end_exception(
    request: Request, principal: PlanWriter, services: WithServices, tenant_id: str, meter: str
) -> Response:
    """Let the plan's limit hold again."""
    tenant = TenantId.parse(tenant_id)

    def store() -> PlanUse:
        now = services.clock()
        with services.db.write() as session:
            remove_override(session, tenant, meter, by=principal.actor(request), now=now)
            session.flush()
            return _use(session, tenant, now)

    return _answer(await services.threads.writes.run("", store))


async def _chosen(services: Services, tenant: TenantId, plan_id: str | None, by: Actor, dry_run: bool) -> Response:
    def store() -> PlanUse:
        now = services.clock()
        if dry_run:
            with services.db.read() as session:
                allowance = allowance_of(session, tenant, now=now)
                return _shown(session, on_plan(allowance, find_plan(session, plan_id or "")), now)
        with services.db.write() as session:
            put_on_plan(session, tenant, plan_id, by=by, now=now)
            session.flush()
            return _use(session, tenant, now)

    return _answer(await services.threads.writes.run("", store))


def _use(session: Session, tenant: TenantId, now: datetime) -> PlanUse:
    return _shown(session, allowance_of(session, tenant, now=now), now)


def _shown(session: Session, allowance: Allowance, now: datetime) -> PlanUse:
    uses = use_of(session, allowance, now=now)
    month, wish = Month.at(now), open_request(session, allowance.tenant)
    return PlanUse(
        plan=PlanAnswer.of(allowance.plan),
        month=month.name,
        month_ends_at=month.ends_at,
        requests_per_second=allowance.limits.requests_per_second,
        meters=tuple(MeterAnswer.of(use, allowance) for use in uses),
        warnings=tuple(f"{use.meter}: {use.percent:g} % of {use.amount:,}" for use in uses if use.share is not None),
        request=None
        if wish is None
        else Wish(plan=wish.plan, note=wish.note, asked_by=wish.asked_by, asked_at=wish.asked_at),
        offered=tuple(PlanAnswer.of(each) for each in list_plans(session) if each.offered),
    )


def _answer(answer: Answer, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")
