"""The tenant's API keys: make, list, change, rotate and revoke them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, foreign_cursor, pages_by_text
from bento_service.scheduling.threads import threaded
from bento_service.schemas.api_keys import (
    ApiKeyAnswer,
    ApiKeyBody,
    ApiKeyPage,
    ApiKeyPatch,
    MadeApiKey,
    RotationBody,
)
from resources.access.key_kinds import is_within, networks_of
from resources.base.errors import Conflict
from resources.control_db.api_keys import NewKey, list_api_keys, make_api_key, revoke_api_key
from resources.control_db.idempotency import WriteKey
from resources.keys.changes import change_api_key, rotate_api_key

router = APIRouter(tags=["api keys"])
Keeper = Annotated[Principal, Depends(require("keys:write"))]
_PAGES = pages_by_text("k")
_EXAMPLES = {
    "for a server": {"name": "checkout", "scopes": ["recommendations:read"], "addresses": ["203.0.113.0/24"]},
    "for pages": {
        "name": "web",
        "kind": "browser",
        "scopes": ["recommendations:read", "interactions:write"],
        "origins": ["https://shop.example.com"],
    },
    "for trying": {"name": "staging", "kind": "sandbox", "scopes": ["recommendations:read", "interactions:write"]},
}
_PATCHES = {
    "an end": {"expires_at": "2027-01-01T00:00:00Z"},
    "another page": {"origins": ["https://shop.example.com", "https://www.example.com"]},
}
_log = structlog.get_logger("recsaas.auth")


@router.get("/api/v1/api-keys", response_model=ApiKeyPage, summary="List API keys")
@threaded("reads")
def api_keys(
    principal: Keeper,
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
    now = services.clock()
    page = ApiKeyPage(api_keys=tuple(ApiKeyAnswer.of(key, now) for key in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/api-keys",
    response_model=MadeApiKey,
    status_code=201,
    summary="Make an API key",
    openapi_extra=json_body(ApiKeyBody, _EXAMPLES),
)
async def make(
    request: Request, principal: Keeper, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a key that may do what its scopes say. Its secret is in this answer and nowhere else."""
    body = await read_body(request, ApiKeyBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    made = await services.threads.writes.run(
        principal.tenant.value,
        make_api_key,
        services.db,
        principal.tenant,
        body.terms(),
        now=services.clock(),
        by=principal.actor(request),
        request=WriteKey.of(idempotency_key, "api key", body.model_dump(mode="json", exclude={"tenant_id"})),
    )
    _log.info("key_made", tenant=principal.tenant.value, key=made.key.id, by=principal.key_id)
    return _made(made, services)


@router.patch(
    "/api/v1/api-keys/{key_id}",
    response_model=ApiKeyAnswer,
    summary="Change an API key",
    openapi_extra=json_body(ApiKeyPatch, _PATCHES),
)
async def change(request: Request, principal: Keeper, services: WithServices, key_id: str) -> Response:
    """Change name, scopes, end, addresses or origins of a key: within 5 seconds on every worker. Its secret stays."""
    body = await read_body(request, ApiKeyPatch, services.bodies)
    principal.check_tenant(body.tenant_id)
    if key_id == principal.key_id and body.addresses:
        _check_stays_within(request, services, body.addresses)
    key = await services.threads.writes.run(
        principal.tenant.value,
        change_api_key,
        services.db,
        principal.tenant,
        key_id,
        body.changes(),
        now=services.clock(),
        by=principal.actor(request),
        keep_an_admin=True,
    )
    _log.info("key_changed", tenant=principal.tenant.value, key=key.id, by=principal.key_id)
    return _answer(ApiKeyAnswer.of(key, services.clock()))


@router.post(
    "/api/v1/api-keys/{key_id}/rotate",
    response_model=MadeApiKey,
    status_code=201,
    summary="Rotate an API key",
    openapi_extra=json_body(RotationBody, {"a day for both": {"overlap_seconds": 86_400}}),
)
async def rotate(
    request: Request,
    principal: Keeper,
    services: WithServices,
    key_id: str,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a key that takes the place of this one; this one ends after the overlap. The answer shows the new secret."""
    body = await read_body(request, RotationBody, services.bodies)
    made = await services.threads.writes.run(
        principal.tenant.value,
        rotate_api_key,
        services.db,
        principal.tenant,
        key_id,
        overlap=timedelta(seconds=body.overlap_seconds),
        now=services.clock(),
        by=principal.actor(request),
        request=WriteKey.of(idempotency_key, "rotate", key_id, body.overlap_seconds),
    )
    _log.warning("key_rotated", tenant=principal.tenant.value, key=key_id, to=made.key.id, by=principal.key_id)
    return _made(made, services)


@router.delete("/api/v1/api-keys/{key_id}", response_model=ApiKeyAnswer, summary="Revoke an API key")
@threaded("writes")
def revoke(request: Request, principal: Keeper, services: WithServices, key_id: str) -> Response:
    """Revoke a key: within 5 seconds no worker takes it any more. Revoking it again changes nothing."""
    now = services.clock()
    by = principal.actor(request)
    key = revoke_api_key(services.db, principal.tenant, key_id, now=now, keep_an_admin=True, by=by)
    _log.warning("key_revoked", tenant=principal.tenant.value, key=key.id, by=principal.key_id)
    return _answer(ApiKeyAnswer.of(key, now))


def _check_stays_within(request: Request, services: Services, addresses: tuple[str, ...]) -> None:
    """Refuse to lock out whoever asks; addresses that are none are told by what changes the key."""
    address = services.addresses.exact(request.scope)
    try:
        inside = is_within(address, networks_of(addresses))
    except ValueError:
        return
    if not inside:
        raise Conflict(
            f"This key asks from {address}, which is not among these addresses, so it could not change them back. Add "
            "that address, or change the key with another one."
        )


def _made(made: NewKey, services: Services) -> Response:
    answer = MadeApiKey(**ApiKeyAnswer.of(made.key, services.clock()).model_dump(), api_key=made.secret)
    headers = {"Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), status_code=201, media_type="application/json", headers=headers)


def _answer(answer: ApiKeyAnswer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
