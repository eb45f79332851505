"""Stopping a tenant, and letting it go on: by the platform's own keys, and by an admin of the tenant itself."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.scheduling.threads import threaded
from bento_service.schemas.api_keys import TenantStatus
from resources.access.scopes import PLATFORM
from resources.base.errors import Forbidden
from resources.base.tenant import TenantId
from resources.control_db.tenants import Tenant, resume_tenant, suspend_tenant

router = APIRouter(tags=["tenants"])
Stopper = Annotated[Principal, Depends(require(PLATFORM, "admin"))]
Platform = Annotated[Principal, Depends(require(PLATFORM))]
_log = structlog.get_logger("recsaas.auth")


@router.post("/api/v1/admin/tenants/{tenant_id}/suspend", response_model=TenantStatus, summary="Suspend a tenant")
@threaded("writes")
def suspend(principal: Stopper, services: WithServices, tenant_id: str) -> Response:
    """Stop a tenant: within 5 seconds no worker takes its keys any more, and what it has sent waits.

    A key with `platform` may stop every tenant, one with `admin` only its own.
    """
    if PLATFORM not in principal.scopes and tenant_id != principal.tenant.value:
        raise Forbidden("An admin's key stops its own tenant only. Others are stopped by the operator of this service.")
    found = suspend_tenant(services.db, TenantId.parse(tenant_id))
    _log.warning("tenant_suspended", tenant=found.id.value, by=principal.key_id)
    return _answer(found)


@router.post("/api/v1/admin/tenants/{tenant_id}/resume", response_model=TenantStatus, summary="Resume a tenant")
@threaded("writes")
def resume(principal: Platform, services: WithServices, tenant_id: str) -> Response:
    """Let a suspended tenant go on: within 5 seconds its keys are taken again, and what waited is done."""
    found = resume_tenant(services.db, TenantId.parse(tenant_id))
    _log.warning("tenant_resumed", tenant=found.id.value, by=principal.key_id)
    return _answer(found)


def _answer(tenant: Tenant) -> Response:
    answer = TenantStatus(id=tenant.id.value, name=tenant.name, status=tenant.status)
    return Response(answer.model_dump_json(), media_type="application/json")
