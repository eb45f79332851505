"""Stopping a tenant and letting it go on, erasing it, and its certificate: by operators of the platform. An admin's key
stops its own tenant, an owner closes the shop and opens it again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bento_service.api.auth import (
    MemberPrincipal,
    OfficePrincipal,
    Principal,
    allowed,
    bearer,
    require,
    require_member,
    require_office,
)
from bento_service.api.credentials import credential_of
from bento_service.api.needs import Needs, needing
from bento_service.api.tenancy.tenants import TenantReader, TenantWriter
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.tenants import (
    EraseBody,
    ShopClosed,
    SuspendBody,
    TenantAnswer,
    TenantCertificateAnswer,
)
from bento_service.schemas.common import Answer
from resources.access.actor import Actor
from resources.access.scopes import PLATFORM
from resources.base.errors import Forbidden
from resources.base.tenant import TenantId
from resources.control_db.tenants import Tenant, resume_tenant, suspend_tenant
from resources.sessions.access_tokens import looks_like_a_token
from resources.tenancy.erasing import certificate_of_tenant, close_shop, reopen_shop, request_tenant_erasure

router = APIRouter(tags=["tenants"])
ShopOwner = Annotated[Principal, Depends(require("ownership:write"))]
ShopMember = Annotated[MemberPrincipal, Depends(require_member())]
"""Of a closed shop nobody gets past `require`."""
AtOnce = Annotated[
    bool, Query(description="Without a time of grace; only for a tenant that has been suspended for 7 days.")
]
_office = require_office("tenants:write")
_WHY = {"unpaid": {"reason": "The invoice of May is open."}}
_log = structlog.get_logger("recsaas.auth")


async def _stopper(request: Request, _declared: object = Depends(bearer)) -> Principal | OfficePrincipal:
    """Whoever may stop a tenant: an operator, a key with `platform`, or a key with `admin` its own tenant."""
    services: Services = request.app.state.services
    if looks_like_a_token(credential_of(request)):
        return await _office(request)
    principal = await allowed(request, services, PLATFORM, "admin")
    if PLATFORM not in principal.scopes and request.path_params["tenant_id"] != principal.tenant.value:
        raise Forbidden("An admin's key stops its own tenant only. Others are stopped by the operator of this service.")
    return principal


Stopper = Annotated[
    Principal | OfficePrincipal, Depends(needing(Needs(keys=("admin",), office="tenants:write"), _stopper))
]


@router.post(
    "/api/v1/admin/tenants/{tenant_id}/suspend",
    response_model=TenantAnswer,
    summary="Suspend a tenant",
    openapi_extra=json_body(SuspendBody, _WHY, required=False),
)
async def suspend(request: Request, principal: Stopper, services: WithServices, tenant_id: str) -> Response:
    """Stop a tenant: within 5 seconds no worker takes its keys any more, and what it has sent waits.

    The reason is in every 403 that it gets then. A key with `admin` may stop its own tenant.
    """
    body = await read_body(request, SuspendBody, services.bodies, optional=True)
    found = await services.threads.writes.run(
        tenant_id,
        suspend_tenant,
        services.db,
        TenantId.parse(tenant_id),
        by=principal.actor(request),
        reason=body.reason,
        now=services.clock(),
    )
    return _told("tenant_suspended", found, principal.actor(request))


@router.post("/api/v1/admin/tenants/{tenant_id}/resume", response_model=TenantAnswer, summary="Resume a tenant")
@threaded("writes")
def resume(request: Request, principal: TenantWriter, services: WithServices, tenant_id: str) -> Response:
    """Let a suspended tenant go on: within 5 seconds its keys are taken again, and what waited is done.

    If it was to be erased, it is not any more.
    """
    by = principal.actor(request)
    found = resume_tenant(services.db, TenantId.parse(tenant_id), by=by, now=services.clock())
    return _told("tenant_resumed", found, by)


@router.delete(
    "/api/v1/admin/tenants/{tenant_id}",
    response_model=TenantAnswer,
    status_code=202,
    summary="Erase a tenant",
    openapi_extra=json_body(EraseBody, _WHY, required=False),
)
async def erase(
    request: Request, principal: TenantWriter, services: WithServices, tenant_id: str, now: AtOnce = False
) -> Response:
    """Stop a tenant, and erase everything of it when the time of grace is over; until then it can be resumed.

    `erase_after` says when that is. The certificate can be read afterwards.
    """
    services.require_writable_lake()
    body = await read_body(request, EraseBody, services.bodies, optional=True)
    by = principal.actor(request)
    found = await services.threads.writes.run(
        tenant_id,
        request_tenant_erasure,
        services.db,
        TenantId.parse(tenant_id),
        by=by,
        reason=body.reason,
        grace=timedelta(days=services.settings.erase_grace_days),
        at_once=now,
        now=services.clock(),
    )
    return _told("tenant_erasure_requested", found, by, 202)


@router.get(
    "/api/v1/admin/tenants/{tenant_id}/certificate",
    response_model=TenantCertificateAnswer,
    summary="Show the certificate of an erased tenant",
)
@threaded("reads")
def certificate(principal: TenantReader, services: WithServices, tenant_id: str) -> Response:
    """Show what was found where and that nothing is left, with a hash over it that the audit log has, too."""
    found = certificate_of_tenant(services.db, TenantId.parse(tenant_id))
    return _answer(TenantCertificateAnswer(**found.model_dump()))


@router.delete("/api/v1/shop", response_model=ShopClosed, status_code=202, summary="Close the shop")
@threaded("writes")
def close(request: Request, principal: ShopOwner, services: WithServices) -> Response:
    """Stop the own shop; after 30 days everything of it is erased. Until then an owner can open it again."""
    services.require_writable_lake()
    by = principal.actor(request)
    closed = close_shop(services.db, principal.tenant, by=by, now=services.clock())
    _log.warning("shop_closed", tenant=closed.id.value, by=by.id)
    return _answer(ShopClosed.of(closed), 202)


@router.post("/api/v1/shop/reopen", response_model=ShopClosed, summary="Open the shop again")
async def reopen(request: Request, principal: ShopMember, services: WithServices) -> Response:
    """Open a shop again that an owner has closed: everything is as it was, and what waited is done."""
    standing = principal.standing
    if standing.tenant is None or "ownership:write" not in standing.permissions:
        raise Forbidden("Only an owner opens the shop again; log in to that shop as one.")
    by = principal.actor(request)
    opened = await services.threads.writes.run(
        by.id, reopen_shop, services.db, standing.tenant, by=by, now=services.clock()
    )
    _log.warning("shop_reopened", tenant=opened.id.value, by=by.id)
    return _answer(ShopClosed.of(opened))


def _told(event: str, tenant: Tenant, by: Actor, status: int = 200) -> Response:
    _log.warning(event, tenant=tenant.id.value, by=by.id)
    return _answer(TenantAnswer.of(tenant), status)


def _answer(answer: Answer, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")
