"""Receipts: what an answer was made of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.schemas.decisions import Lineage, Receipt
from resources.base.errors import CorruptRelease, NotFound, ReleaseNotFound
from resources.release.manifest import ReleaseManifest
from resources.release.store import ReleaseStore

router = APIRouter(tags=["recommendations"])
Reader = Annotated[Principal, Depends(require("recommendations:read"))]


@router.get(
    "/api/v1/recommendations/{recommendation_id}/receipt", response_model=Receipt, summary="Show what an answer is of"
)
async def receipt(principal: Reader, services: WithServices, recommendation_id: str) -> Response:
    """Show what was answered, and which release, model run and training set it comes from.

    With a key that has `analytics:read`, also to whom, and from which uploads.
    """
    decision = await services.decisions.find(principal.tenant, recommendation_id)
    if decision is None:
        raise NotFound(
            f"Tenant {principal.tenant} has no recommendation {recommendation_id[:80]!r}. Check the id; answers are "
            f"kept for {services.settings.decision_days} days."
        )
    store = ReleaseStore(services.lake.tenant(principal.tenant))
    lineage = await services.threads.reads.run(principal.tenant.value, _lineage, store, decision.release_version)
    found = Receipt.of(decision, lineage)
    shown = found if "analytics:read" in principal.scopes else found.for_public_key()
    return Response(shown.model_dump_json(), media_type="application/json")


def _lineage(store: ReleaseStore, version: str) -> Lineage | None:
    try:
        return Lineage.of(store.manifest(version), asked=version)
    except (ReleaseNotFound, CorruptRelease):
        copy = _copy_of(store, version)
        return Lineage.of(copy, asked=version) if copy is not None else None


def _copy_of(store: ReleaseStore, version: str) -> ReleaseManifest | None:
    """Return the newest release that is the old one without users who were erased since."""
    wanted = version
    found: ReleaseManifest | None = None
    copies = {
        each.manifest.derived_from.release: each.manifest
        for each in store.list()
        if each.manifest is not None and each.manifest.derived_from is not None
    }
    while (copy := copies.pop(wanted, None)) is not None:
        found, wanted = copy, copy.version
    return found
