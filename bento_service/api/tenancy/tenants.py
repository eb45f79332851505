"""The tenants of the platform, for its operators: make, list, show, change, count."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import OfficePrincipal, require_office
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.dependencies import WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_text
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.tenants import (
    TenantAnswer,
    TenantBody,
    TenantDetail,
    TenantPage,
    TenantPatch,
    TenantSummaryAnswer,
)
from bento_service.schemas.common import Answer
from resources.base.tenant import TenantId
from resources.control_db.idempotency import WriteKey
from resources.control_db.tenants import get_tenant, list_tenants
from resources.tenancy.provisioning import edit_tenant, provision_tenant
from resources.tenancy.summary import summarise_tenant

router = APIRouter(tags=["tenants"])
TenantReader = Annotated[OfficePrincipal, Depends(require_office("tenants:read"))]
TenantWriter = Annotated[OfficePrincipal, Depends(require_office("tenants:write"))]
_PAGES = pages_by_text("t")
_log = structlog.get_logger("recsaas.tenants")
_EXAMPLES = {
    "a shop": {"slug": "blue-shop", "name": "Blue Shop"},
    "with its owner": {
        "slug": "blue-shop",
        "name": "Blue Shop",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "owner_email": "owner@example.com",
    },
}
_CHANGES = {"settings": {"settings": {"training.model_type": "two_tower"}}}


@router.get("/api/v1/admin/tenants", response_model=TenantPage, summary="List tenants")
@threaded("reads")
def tenants(
    principal: TenantReader, services: WithServices, limit: PageLimit = 50, cursor: PageCursor = None
) -> Response:
    """List the tenants by id, without those that were erased."""
    found = list_tenants(services.db, after=_PAGES.place(cursor), limit=limit + 1)
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda tenant: tenant.id.value)
    return _answer(TenantPage(tenants=tuple(TenantAnswer.of(each) for each in shown), next_cursor=next_cursor))


@router.post(
    "/api/v1/admin/tenants",
    response_model=TenantDetail,
    status_code=201,
    summary="Make a tenant",
    openapi_extra=json_body(TenantBody, _EXAMPLES),
)
async def make(
    request: Request, principal: TenantWriter, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a tenant with its folders and the invitation of its owner; the same again changes nothing.

    A taken id is answered with 409 and three that are free. Keys are made by the owner, or by the command line.
    """
    body = await read_body(request, TenantBody, services.bodies)
    made = await services.threads.writes.run(
        principal.id,
        provision_tenant,
        services.db,
        services.lake,
        body.new(),
        by=principal.actor(request),
        site_url=services.settings.site_url,
        now=services.clock(),
        key=WriteKey.of(idempotency_key, "tenant", body.model_dump(mode="json")),
    )
    _log.info("tenant_made", tenant=made.id.value, by=principal.id)
    return _answer(TenantDetail.of(made), 201)


@router.get("/api/v1/admin/tenants/{tenant_id}", response_model=TenantDetail, summary="Show a tenant")
@threaded("reads")
def show(principal: TenantReader, services: WithServices, tenant_id: str) -> Response:
    """Show a tenant with its settings; of one that was erased, when that was."""
    return _answer(TenantDetail.of(get_tenant(services.db, TenantId.parse(tenant_id))))


@router.patch(
    "/api/v1/admin/tenants/{tenant_id}",
    response_model=TenantDetail,
    summary="Change a tenant",
    openapi_extra=json_body(TenantPatch, _CHANGES),
)
async def change(request: Request, principal: TenantWriter, services: WithServices, tenant_id: str) -> Response:
    """Change name, plan, currency, time zone and settings: all that was sent, or nothing."""
    body = await read_body(request, TenantPatch, services.bodies)
    changed = await services.threads.writes.run(
        principal.id,
        edit_tenant,
        services.db,
        TenantId.parse(tenant_id),
        body.edit(),
        by=principal.actor(request),
        now=services.clock(),
    )
    return _answer(TenantDetail.of(changed))


@router.get(
    "/api/v1/admin/tenants/{tenant_id}/summary", response_model=TenantSummaryAnswer, summary="Count what a tenant has"
)
@threaded("long")
def summary(principal: TenantReader, services: WithServices, tenant_id: str) -> Response:
    """Count uploads, rows, events, answers, releases, members, keys and files; each count ends at 10,000."""
    tenant = TenantId.parse(tenant_id)
    found = summarise_tenant(services.store(tenant), services.decisions.store)
    return _answer(TenantSummaryAnswer.of(tenant.value, found))


def _answer(answer: Answer, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")
