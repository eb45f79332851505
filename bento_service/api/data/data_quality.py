"""How good the tenant's data is, and whether there is enough of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.scheduling.threads import threaded
from resources.training.readiness import Readiness, measure_readiness
from resources.uploads.tenant_quality import TenantQuality, tenant_quality

router = APIRouter(tags=["uploads"])
Reader = Annotated[Principal, Depends(require("uploads:write", "analytics:read"))]


@router.get("/api/v1/data-quality", summary="See how good the data is")
@threaded("heavy")
def data_quality(principal: Reader, services: WithServices) -> TenantQuality:
    """See completeness, validity, uniqueness, freshness, volume and unknown items, in all and per upload."""
    return tenant_quality(services.store(principal.tenant), now=services.clock())


@router.get("/api/v1/readiness", summary="See whether there is enough data")
@threaded("heavy")
def readiness(principal: Reader, services: WithServices) -> Readiness:
    """See what the tenant has, what training, measuring and good recommendations need, and what is missing."""
    return measure_readiness(services.store(principal.tenant))
