"""The catalogue, item by item: durable before the answer, and in the next answer of every worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require, require_for_body
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.api.data.uploads import QUEUED, ValidateOnly
from bento_service.api.intake import receive_upload
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, media_type, read_body
from bento_service.http.pagination import PageLimit, cursor_parameter, pages_by_text
from bento_service.http.path_ids import path_id
from bento_service.scheduling.threads import threaded
from bento_service.schemas.items import (
    ItemAnswer,
    ItemBatch,
    ItemBody,
    ItemDeleted,
    ItemPage,
    ItemPatch,
    ItemsRequest,
    ItemsStored,
)
from bento_service.schemas.uploads import UploadAnswer
from resources.access.actor import Actor
from resources.base.errors import CorruptRelease, ItemNotFound, NotReady
from resources.base.tenant import TenantId
from resources.catalogue.edits import patch_edit, put_edits
from resources.catalogue.items import ItemQuery
from resources.control_db.idempotency import WriteKey
from resources.control_db.items import ItemEdit, append_item_changes, list_item_changes
from resources.plans.allowances import allowance_of
from resources.plans.checks import check_room
from resources.uploads.contract.columns import Kind
from resources.uploads.store import catalogue_size

router = APIRouter(tags=["items"])
_PAGES = pages_by_text("i")
ItemWriter = Annotated[Principal, Depends(require("items:write"))]
ItemWriterOrUploader = Annotated[Principal, Depends(require_for_body("items:write"))]
Containing = Annotated[
    str | None, Query(max_length=200, description="Only items with this in id, title, brand or tags.")
]


def _item(request: Request, item_id: Annotated[str, Path(description="Your id of the item.")]) -> str:
    return path_id(request, "item_id", item_id)


ItemId = Annotated[str, Depends(_item)]

_EXAMPLES = {
    "one item": {"item_id": "lamp", "title": "Lamp", "category": "Light", "price": 39.9, "tags": ["new", "brass"]},
    "many items": {"items": [{"item_id": "mug", "title": "Mug"}, {"item_id": "pen", "deleted": True}]},
}


@router.post(
    "/api/v1/items",
    response_model=ItemsStored | UploadAnswer,
    responses=QUEUED,
    summary="Add or replace items, or upload a file of items",
    openapi_extra=json_body(ItemsRequest, _EXAMPLES, file_field="file"),
)
async def put_items(
    request: Request,
    principal: ItemWriterOrUploader,
    services: WithServices,
    idempotency_key: IdempotencyKey = None,
    validate_only: ValidateOnly = False,
) -> Response:
    """Store one item, or up to 1,000 of them, all or none; a multipart body with a `file` is an upload.

    An item that is there already is described anew: fields that are left out become empty.
    """
    if media_type(request) == "multipart/form-data":
        return await receive_upload(request, principal, services, Kind.ITEMS, validate_only=validate_only)
    services.require_writable_lake()
    body = (await read_body(request, ItemsRequest, services.bodies)).root
    batch = not isinstance(body, ItemBody)
    bodies = (body,) if isinstance(body, ItemBody) else body.items if isinstance(body, ItemBatch) else body
    principal.check_tenant(body.tenant_id if isinstance(body, ItemBatch) else None)
    for each in bodies:
        principal.check_tenant(each.tenant_id)
    answer = await services.threads.writes.run(
        principal.tenant.value,
        _store,
        services,
        principal.tenant,
        bodies,
        key=idempotency_key,
        batch=batch,
        store=not (validate_only or principal.sandbox),
        by=principal.actor(request),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/api/v1/items", response_model=ItemPage, summary="List items")
@threaded("heavy")
def items(
    principal: ItemWriter,
    services: WithServices,
    category: Annotated[str | None, Query(max_length=500, description="Only items of this category.")] = None,
    q: Containing = None,
    limit: PageLimit = 50,
    cursor: Annotated[str | None, cursor_parameter(500)] = None,
) -> Response:
    """List the catalogue as it is now, by id: what was uploaded and what was changed, in the model already or not."""
    query = ItemQuery(category=category, text=q, after=_PAGES.place(cursor), limit=limit + 1)
    found = services.items.page(principal.tenant, query)
    page = ItemPage.of(found, limit=limit, cursor_after=_PAGES.cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/api/v1/items/{item_id:path}", response_model=ItemAnswer, summary="Show an item")
@threaded("reads")
def item(principal: ItemWriter, services: WithServices, item_id: ItemId) -> Response:
    """Show an item of the catalogue as it is now."""
    answer = ItemAnswer.of(services.items.get(principal.tenant, item_id))
    return Response(answer.model_dump_json(), media_type="application/json")


@router.patch(
    "/api/v1/items/{item_id:path}",
    response_model=ItemAnswer,
    summary="Change an item",
    openapi_extra=json_body(ItemPatch, {"a new price": {"price": 29.9}, "sold out": {"available": False}}),
)
async def patch_item(
    request: Request,
    principal: ItemWriter,
    services: WithServices,
    item_id: ItemId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Change some fields of an item; null empties one. What is left out stays."""
    services.require_writable_lake()
    body = await read_body(request, ItemPatch, services.bodies)
    principal.check_tenant(body.tenant_id)
    answer = await services.threads.writes.run(
        principal.tenant.value,
        _patch,
        services,
        principal,
        item_id,
        body,
        key=idempotency_key,
        by=principal.actor(request),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.delete("/api/v1/items/{item_id:path}", response_model=ItemDeleted, summary="Delete an item")
async def delete_item(
    request: Request,
    principal: ItemWriter,
    services: WithServices,
    item_id: ItemId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take an item out of the catalogue: no answer shows it any more. Deleting it again changes nothing."""
    services.require_writable_lake()
    served = await _is_served(services, principal.tenant, item_id)
    answer = await services.threads.writes.run(
        principal.tenant.value,
        _delete,
        services,
        principal,
        item_id,
        served=served,
        key=idempotency_key,
        by=principal.actor(request),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _store(
    services: Services,
    tenant: TenantId,
    bodies: tuple[ItemBody, ...],
    *,
    key: str | None,
    batch: bool,
    store: bool,
    by: Actor,
) -> ItemsStored:
    """Check and store the items; blocks on the control DB."""
    now = services.clock()
    edits = put_edits([body.fields() for body in bodies], now=now, place="items." if batch else "")
    duplicate = False
    _check_room(services, tenant, edits, now)
    if store:
        write_key = WriteKey.of(key, "items", [(e.item_id, e.action, dict(e.fields)) for e in edits])
        duplicate = append_item_changes(services.db, tenant, edits, now=now, key=write_key, by=by).repeated
    deleted = sum(edit.action == "delete" for edit in edits)
    return ItemsStored(items=len(edits) - deleted, deleted=deleted, duplicate=duplicate, processed_at=services.clock())


def _check_room(services: Services, tenant: TenantId, edits: Sequence[ItemEdit], now: datetime) -> None:
    """Refuse more items than the plan has; what only changes or deletes is never refused.

    The catalogue is looked at once, and a second time where there is only room if some of these are known already.
    """
    with services.db.read() as session:
        allowance = allowance_of(session, tenant, now=now)
    most, puts = allowance.limits.items, sum(edit.action != "delete" for edit in edits)
    if most is None or not puts or allowance.at_limit("items") == "bill":
        return
    store = services.store(tenant)
    before = catalogue_size(store)
    if before + puts <= most:
        return
    after = catalogue_size(store, edits=edits)
    if after > before:
        check_room(allowance, "items", before, after - before, now=now)


def _patch(
    services: Services, principal: Principal, item_id: str, body: ItemPatch, *, key: str | None, by: Actor
) -> ItemAnswer:
    now, tenant = services.clock(), principal.tenant
    item = services.items.get(tenant, item_id)  # what is not there cannot be changed
    edit = patch_edit(item_id, body.fields(), now=now)
    if principal.sandbox:
        return ItemAnswer.of(replace(item, **_shown(edit), updated_at=now))
    write_key = WriteKey.of(key, "patch", item_id, dict(edit.fields))
    append_item_changes(services.db, tenant, [edit], now=now, key=write_key, by=by)
    return ItemAnswer.of(services.items.get(tenant, item_id))


def _shown(edit: ItemEdit) -> dict[str, Any]:
    """What a patch would make of an item, which a sandbox is shown; availability cannot be taken away."""
    return {name: True if name == "available" and value is None else value for name, value in edit.fields.items()}


def _delete(
    services: Services, principal: Principal, item_id: str, *, served: bool, key: str | None, by: Actor
) -> ItemDeleted:
    now, tenant = services.clock(), principal.tenant
    try:
        services.items.get(tenant, item_id)
    except ItemNotFound:
        changes = list_item_changes(services.db, tenant, item_ids=[item_id])
        if changes and changes[-1].action == "delete":
            return ItemDeleted(item_id=item_id, processed_at=now)
        if not served:
            raise
    if principal.sandbox:
        return ItemDeleted(item_id=item_id, processed_at=now)
    edit = ItemEdit(item_id, "delete", {})
    append_item_changes(services.db, tenant, [edit], now=now, key=WriteKey.of(key, "delete", item_id), by=by)
    return ItemDeleted(item_id=item_id, processed_at=services.clock())


async def _is_served(services: Services, tenant: TenantId, item_id: str) -> bool:
    """Whether the live release knows the item: a shop without a catalogue has items that were only interacted with."""
    try:
        live = await services.releases.get(tenant)
    except (NotReady, CorruptRelease):
        return False
    return item_id in live.ranker.release.item_rows
