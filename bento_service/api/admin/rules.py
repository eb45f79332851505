"""Merchandising rules: pin, boost, bury and hide, in the next answer of every worker."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.dependencies import WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import MAX_LIMIT, PageCursor, PageLimit, pages_by_time
from bento_service.scheduling.threads import threaded
from bento_service.schemas.rules import RuleAnswer, RuleBody, RulePage, RulePatch, RuleRemoved
from resources.control_db.idempotency import WriteKey
from resources.control_db.rules import add_rule, change_rule, get_rule, list_rules, remove_rule
from resources.merchandising.rules import draft_of

router = APIRouter(tags=["rules"])
RuleWriter = Annotated[Principal, Depends(require("items:write"))]
_PAGES = pages_by_time("r")

_EXAMPLES = {
    "pin two items": {
        "kind": "pin",
        "target": {"item_ids": ["lamp", "mug"]},
        "scenario": "home",
        "starts_at": "2026-12-01T00:00:00Z",
        "ends_at": "2026-12-27T00:00:00Z",
    },
    "boost a category": {"kind": "boost", "target": {"category": "Audio"}, "factor": 1.5},
    "hide a brand": {"kind": "hide", "target": {"brand": "Acme"}, "note": "Contract ended"},
}


@router.get("/api/v1/rules", response_model=RulePage, summary="List rules")
@threaded("reads")
def rules(
    principal: RuleWriter,
    services: WithServices,
    limit: PageLimit = MAX_LIMIT,
    cursor: PageCursor = None,
) -> Response:
    """List the tenant's rules, oldest first, ended ones included."""
    after = _PAGES.place(cursor)
    rest = [rule for rule in list_rules(services.db, principal.tenant) if after is None or rule.created_at > after]
    shown, next_cursor = _PAGES.cut(rest, limit=limit, key=lambda rule: rule.created_at)
    page = RulePage(rules=tuple(RuleAnswer.of(rule, services.clock()) for rule in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/rules",
    response_model=RuleAnswer,
    status_code=201,
    summary="Add a rule",
    openapi_extra=json_body(RuleBody, _EXAMPLES),
)
async def add(
    request: Request, principal: RuleWriter, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add a rule. It holds in the next answer, or from `starts_at` on."""
    services.require_writable_lake()
    body = await read_body(request, RuleBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    draft, now = draft_of(body.fields()), services.clock()
    key = WriteKey.of(idempotency_key, "rule", draft.model_dump(mode="json"))
    rule = await services.threads.writes.run(
        principal.tenant.value,
        add_rule,
        services.db,
        principal.tenant,
        draft,
        now=now,
        key=key,
        by=principal.actor(request),
    )
    return _answer(RuleAnswer.of(rule, now), 201)


@router.get("/api/v1/rules/{rule_id}", response_model=RuleAnswer, summary="Show a rule")
@threaded("reads")
def rule(principal: RuleWriter, services: WithServices, rule_id: str) -> Response:
    """Show a rule."""
    return _answer(RuleAnswer.of(get_rule(services.db, principal.tenant, rule_id), services.clock()))


@router.patch(
    "/api/v1/rules/{rule_id}",
    response_model=RuleAnswer,
    summary="Change a rule",
    openapi_extra=json_body(RulePatch, {"end it": {"ends_at": "2026-12-24T12:00:00Z"}}),
)
async def change(request: Request, principal: RuleWriter, services: WithServices, rule_id: str) -> Response:
    """Change what a rule says; null takes a value away."""
    services.require_writable_lake()
    body = await read_body(request, RulePatch, services.bodies)
    principal.check_tenant(body.tenant_id)
    now = services.clock()
    changed = await services.threads.writes.run(
        principal.tenant.value,
        change_rule,
        services.db,
        principal.tenant,
        rule_id,
        body.fields(),
        now=now,
        by=principal.actor(request),
    )
    return _answer(RuleAnswer.of(changed, now))


@router.delete("/api/v1/rules/{rule_id}", response_model=RuleRemoved, summary="Remove a rule")
@threaded("writes")
def remove(request: Request, principal: RuleWriter, services: WithServices, rule_id: str) -> Response:
    """Remove a rule. It holds in no answer any more."""
    services.require_writable_lake()
    by = principal.actor(request)
    remove_rule(services.db, principal.tenant, rule_id, now=services.clock(), by=by)
    return _answer(RuleRemoved(id=rule_id))


def _answer(answer: RuleAnswer | RuleRemoved, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")
