"""The tenant's API keys: make, list and revoke them."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, foreign_cursor, pages_by_text
from bento_service.scheduling.threads import threaded
from bento_service.schemas.api_keys import ApiKeyAnswer, ApiKeyBody, ApiKeyPage, MadeApiKey
from resources.control_db.api_keys import create_api_key, list_api_keys, revoke_api_key

router = APIRouter(tags=["api keys"])
Admin = Annotated[Principal, Depends(require("admin"))]
_PAGES = pages_by_text("k")
_EXAMPLES = {"for pages": {"name": "web", "scopes": ["recommendations:read", "interactions:write"]}}
_log = structlog.get_logger("recsaas.auth")


@router.get("/api/v1/api-keys", response_model=ApiKeyPage, summary="List API keys")
@threaded("reads")
def api_keys(
    principal: Admin,
    services: WithServices,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List the tenant's keys, oldest first, revoked ones included. Secrets are not stored, and not shown."""
    rest = list_api_keys(services.db, principal.tenant)
    last = _PAGES.place(cursor)
    if last is not None:
        places = [place for place, key in enumerate(rest, start=1) if key.id == last]
        if not places:
            raise foreign_cursor()
        rest = rest[places[0] :]
    shown, next_cursor = _PAGES.cut(rest, limit=limit, key=lambda key: key.id)
    page = ApiKeyPage(api_keys=tuple(ApiKeyAnswer.of(key) for key in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/api-keys",
    response_model=MadeApiKey,
    status_code=201,
    summary="Make an API key",
    openapi_extra=json_body(ApiKeyBody, _EXAMPLES),
)
async def make(request: Request, principal: Admin, services: WithServices) -> Response:
    """Make a key that may do what its scopes say. Its secret is in this answer and nowhere else."""
    body = await read_body(request, ApiKeyBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    key, secret = await services.threads.writes.run(
        principal.tenant.value,
        create_api_key,
        services.db,
        principal.tenant,
        name=body.name,
        scopes=body.scopes,
        now=services.clock(),
        by=principal.actor(request),
    )
    _log.info("key_made", tenant=principal.tenant.value, key=key.id, by=principal.key_id)
    answer = MadeApiKey(**ApiKeyAnswer.of(key).model_dump(), api_key=secret)
    headers = {"Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), status_code=201, media_type="application/json", headers=headers)


@router.delete("/api/v1/api-keys/{key_id}", response_model=ApiKeyAnswer, summary="Revoke an API key")
@threaded("writes")
def revoke(request: Request, principal: Admin, services: WithServices, key_id: str) -> Response:
    """Revoke a key: within 5 seconds no worker takes it any more. Revoking it again changes nothing."""
    by = principal.actor(request)
    key = revoke_api_key(services.db, principal.tenant, key_id, now=services.clock(), keep_an_admin=True, by=by)
    _log.warning("key_revoked", tenant=principal.tenant.value, key=key.id, by=principal.key_id)
    return Response(ApiKeyAnswer.of(key).model_dump_json(), media_type="application/json")
