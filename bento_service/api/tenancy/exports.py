"""Archives of a whole tenant: asked for, watched, downloaded; by an admin of the shop, or by an operator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from bento_service.api.auth import Principal, require
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.api.intake import POLL_SECONDS
from bento_service.api.tenancy.tenants import TenantWriter
from bento_service.dependencies import Services, WithServices
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_time
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.tenants import TenantExportAnswer, TenantExportPage
from resources.access.actor import Actor
from resources.base.errors import Conflict, ExportNotFound
from resources.base.tenant import TenantId
from resources.control_db.idempotency import WriteKey
from resources.jobs.kinds.tenant_exports import get_tenant_export, list_tenant_exports, record_archive_read
from resources.tenancy.exports import archive_file, submit_tenant_export

router = APIRouter(tags=["tenants"])
Admin = Annotated[Principal, Depends(require("admin"))]
SHOP, OFFICE = "/api/v1/shop/exports", "/api/v1/admin/tenants/{tenant_id}/exports"
_PAGES = pages_by_time("a")
_CHUNK_BYTES = 1 << 20
_HEADERS = {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}
_QUEUED: dict[int | str, dict[str, Any]] = {
    202: {"description": "Acknowledged. `Location` leads to its state", "headers": _HEADERS}
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The archive",
    }
}


@router.post(SHOP, response_model=TenantExportAnswer, status_code=202, responses=_QUEUED, summary="Export the shop")
@threaded("writes")
def ask(request: Request, principal: Admin, services: WithServices, idempotency_key: IdempotencyKey = None) -> Response:
    """Have everything of the shop put into an archive that another installation can import. One at a time."""
    return _asked(services, principal.tenant, principal.actor(request), idempotency_key, SHOP)


@router.get(SHOP, response_model=TenantExportPage, summary="List archives of the shop")
@threaded("reads")
def exports(principal: Admin, services: WithServices, limit: PageLimit = 50, cursor: PageCursor = None) -> Response:
    """List the archives of the shop, newest first."""
    found = list_tenant_exports(services.db, principal.tenant, limit=limit + 1, before=_PAGES.place(cursor))
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda export: export.created_at)
    page = TenantExportPage(
        exports=tuple(TenantExportAnswer.of(export, SHOP) for export in shown), next_cursor=next_cursor
    )
    return Response(page.model_dump_json(), media_type="application/json")


@router.get(f"{SHOP}/{{archive_id}}", response_model=TenantExportAnswer, summary="Show an archive of the shop")
@threaded("reads")
def show(principal: Admin, services: WithServices, archive_id: str) -> Response:
    """Tell how far an archive is."""
    return _shown(services, principal.tenant, archive_id, SHOP)


@router.get(
    f"{SHOP}/{{archive_id}}/file", response_class=Response, responses=_FILE, summary="Download an archive of the shop"
)
@threaded("reads")
def download(request: Request, principal: Admin, services: WithServices, archive_id: str) -> Response:
    """Download the archive. It holds every user of the shop: keep it as you would keep them."""
    return _file(services, principal.tenant, archive_id, principal.actor(request))


@router.post(OFFICE, response_model=TenantExportAnswer, status_code=202, responses=_QUEUED, summary="Export a tenant")
@threaded("writes")
def ask_for(
    request: Request,
    principal: TenantWriter,
    services: WithServices,
    tenant_id: str,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have everything of a tenant put into an archive, as its admin can."""
    tenant = TenantId.parse(tenant_id)
    return _asked(services, tenant, principal.actor(request), idempotency_key, _office(tenant))


@router.get(f"{OFFICE}/{{archive_id}}", response_model=TenantExportAnswer, summary="Show an archive of a tenant")
@threaded("reads")
def show_of(principal: TenantWriter, services: WithServices, tenant_id: str, archive_id: str) -> Response:
    """Tell how far an archive is."""
    tenant = TenantId.parse(tenant_id)
    return _shown(services, tenant, archive_id, _office(tenant))


@router.get(
    f"{OFFICE}/{{archive_id}}/file", response_class=Response, responses=_FILE, summary="Download an archive of a tenant"
)
@threaded("reads")
def download_of(
    request: Request, principal: TenantWriter, services: WithServices, tenant_id: str, archive_id: str
) -> Response:
    """Download the archive."""
    return _file(services, TenantId.parse(tenant_id), archive_id, principal.actor(request))


def _office(tenant: TenantId) -> str:
    return OFFICE.format(tenant_id=tenant)


def _asked(services: Services, tenant: TenantId, by: Actor, key: str | None, base: str) -> Response:
    services.require_writable_lake()
    export = submit_tenant_export(
        services.store(tenant), by=by, now=services.clock(), key=WriteKey.of(key, "tenant export")
    )
    services.job_worker.wake()
    headers = {"Location": f"{base}/{export.id}", "Retry-After": str(POLL_SECONDS)}
    answer = TenantExportAnswer.of(export, base)
    return Response(answer.model_dump_json(), status_code=202, media_type="application/json", headers=headers)


def _shown(services: Services, tenant: TenantId, archive_id: str, base: str) -> Response:
    export = get_tenant_export(services.db, tenant, archive_id)
    headers = {} if export.finished else {"Retry-After": str(POLL_SECONDS)}
    answer = TenantExportAnswer.of(export, base)
    return Response(answer.model_dump_json(), media_type="application/json", headers=headers)


def _file(services: Services, tenant: TenantId, archive_id: str, by: Actor) -> Response:
    export = get_tenant_export(services.db, tenant, archive_id)
    if not export.finished:
        raise Conflict(f"Archive {export.id} is {export.status}: there is no file yet. Ask for its state until it is.")
    gone = f"Archive {export.id} has no file. {export.message or 'Ask for a new one.'}"
    if export.bytes is None:
        raise ExportNotFound(gone)
    try:
        handle = archive_file(services.lake, export).open("rb")
    except FileNotFoundError as error:  # removed in this moment
        raise ExportNotFound(gone) from error
    record_archive_read(services.db, export, now=services.clock(), by=by)
    name = f"{tenant}-{export.created_at:%Y-%m-%d}.tar.gz"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(handle.seek(0, os.SEEK_END)),
    }
    handle.seek(0)
    return StreamingResponse(_pieces(handle), media_type="application/gzip", headers=headers)


def _pieces(handle: IO[bytes]) -> Iterator[bytes]:
    with handle:
        while piece := handle.read(_CHUNK_BYTES):
            yield piece
