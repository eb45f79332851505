"""One user of the tenant: everything that is stored about them, and their erasure."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.http.path_ids import path_id
from bento_service.scheduling.threads import threaded
from bento_service.schemas.users import ErasureAnswer, PendingErasure
from resources.base.errors import RecsaasError
from resources.erasure.certificate import Certificate, nothing_erased
from resources.erasure.export import UserExport, export_user
from resources.erasure.jobs import UserEraser, erase_now
from resources.jobs.kinds.erasures import get_erasure, request_erasure

WAIT_SECONDS = 2.0
"""How long an answer waits for a run of the tenant to end, and for the decision log to be written."""
router = APIRouter(tags=["users"])
Admin = Annotated[Principal, Depends(require("admin"))]
_log = structlog.get_logger("recsaas.users")


def _user(request: Request, user_id: Annotated[str, Path(description="Your id of the user.")]) -> str:
    return path_id(request, "user_id", user_id)


UserId = Annotated[str, Depends(_user)]
_PENDING: dict[int | str, dict[str, Any]] = {
    202: {
        "model": PendingErasure,
        "description": "Acknowledged; a run of the tenant has to end first. `Location` leads to its state",
        "headers": {"Location": {"schema": {"type": "string"}}},
    }
}


@router.delete("/api/v1/users/{user_id:path}", response_model=Certificate, responses=_PENDING, summary="Erase a user")
@threaded("long")
def erase(request: Request, principal: Admin, services: WithServices, user_id: UserId) -> Response:
    """Remove everything that is stored about the user, and answer with a certificate of what was found where.

    An id of which nothing is stored is answered with 404: it may be misspelt, and then nobody was erased.
    """
    services.require_writable_lake()
    by = principal.actor(request)
    erasure = request_erasure(services.db, principal.tenant, user_id, services.clock(), by=by)
    services.decisions.flush(WAIT_SECONDS)  # so that the certificate counts the answers of this moment
    try:
        eraser = UserEraser(
            services.lake,
            services.db,
            services.decisions.store,
            services.clock,
            services.settings.home,
            WAIT_SECONDS,
        )
        certificate = erase_now(eraser, erasure)
    except RecsaasError as reason:
        # The request is stored, so it is not refused any more: the pipeline goes on with it.
        _log.warning("erasure_waits", tenant=principal.tenant.value, erasure=erasure.id, reason=reason.message)
        url = f"/api/v1/erasures/{erasure.id}"
        waiting = PendingErasure(erasure_id=erasure.id, status_url=url, message=reason.message)
        return Response(
            waiting.model_dump_json(), status_code=202, media_type="application/json", headers={"Location": url}
        )
    if not certificate.found:
        raise nothing_erased(user_id, certificate)
    return Response(certificate.model_dump_json(), media_type="application/json")


@router.get("/api/v1/erasures/{erasure_id}", response_model=ErasureAnswer, summary="Show an erasure")
@threaded("reads")
def erasure(principal: Admin, services: WithServices, erasure_id: str) -> Response:
    """Tell where an erasure stands; in the end with its certificate."""
    answer = ErasureAnswer.of(get_erasure(services.db, principal.tenant, erasure_id))
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/api/v1/users/{user_id:path}/export", response_model=UserExport, summary="Export a user")
@threaded("long")
def export(request: Request, principal: Admin, services: WithServices, user_id: UserId) -> Response:
    """Show everything that is stored about the user: rows of files, events, answers, features, releases, history."""
    services.decisions.flush(WAIT_SECONDS)
    store = services.store(principal.tenant)
    by = principal.actor(request)
    found = export_user(store, services.decisions.store, user_id, now=services.clock(), by=by)
    return Response(found.model_dump_json(), media_type="application/json")
