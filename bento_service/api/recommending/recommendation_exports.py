"""Exports of the recommendations of all users: asked for, watched, downloaded, removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from bento_service.api.auth import Principal, require
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.api.intake import POLL_SECONDS
from bento_service.dependencies import WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_time
from bento_service.scheduling.threads import threaded
from bento_service.schemas.recommendation_exports import (
    ExportAnswer,
    ExportBody,
    ExportPage,
    ExportQueued,
    ExportRemoved,
)
from resources.base.errors import Conflict, ExportNotFound
from resources.control_db.idempotency import WriteKey
from resources.jobs.kinds.exports import ExportFormat, get_export, list_exports, record_download
from resources.recommendations.exports import export_file, remove_export, submit_export

router = APIRouter(tags=["recommendations"])
# Not `recommendations:read`: shops put keys with it into their pages, and an export names every user.
Exporter = Annotated[Principal, Depends(require("analytics:read", "admin"))]
_PAGES = pages_by_time("x")
_CHUNK_BYTES = 1 << 20
_MEDIA_TYPES = {ExportFormat.CSV: "text/csv", ExportFormat.PARQUET: "application/vnd.apache.parquet"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: _BINARY for kind in _MEDIA_TYPES.values()}, "description": "The file"}
}
_HEADERS = {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}
_QUEUED: dict[int | str, dict[str, Any]] = {
    202: {"description": "Acknowledged. `Location` leads to its state", "headers": _HEADERS}
}
_EXAMPLES = {"a newsletter": {"count": 5, "scenario": "newsletter", "format": "parquet"}}


@router.post(
    "/api/v1/recommendations/exports",
    response_model=ExportQueued,
    status_code=202,
    responses=_QUEUED,
    summary="Export the recommendations of all users",
    openapi_extra=json_body(ExportBody, _EXAMPLES),
)
async def ask(
    request: Request, principal: Exporter, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have a file made with the list of every user, as each would be answered. One at a time."""
    services.require_writable_lake()
    body = await read_body(request, ExportBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    key = WriteKey.of(idempotency_key, "recommendation export", body.model_dump(mode="json", exclude={"tenant_id"}))
    export = await services.threads.writes.run(
        principal.tenant.value,
        submit_export,
        services.store(principal.tenant),
        body.request(),
        now=services.clock(),
        key=key,
        by=principal.actor(request),
    )
    services.job_worker.wake()
    queued = ExportQueued.of(export)
    headers = {"Location": queued.status_url, "Retry-After": str(POLL_SECONDS)}
    return Response(queued.model_dump_json(), status_code=202, media_type="application/json", headers=headers)


@router.get("/api/v1/recommendations/exports", response_model=ExportPage, summary="List exports")
@threaded("reads")
def exports(
    principal: Exporter,
    services: WithServices,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List the tenant's exports, newest first."""
    found = list_exports(services.db, principal.tenant, limit=limit + 1, before=_PAGES.place(cursor))
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda export: export.created_at)
    page = ExportPage(exports=tuple(ExportAnswer.of(export) for export in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/api/v1/recommendations/exports/{export_id}", response_model=ExportAnswer, summary="Show an export")
@threaded("reads")
def show(principal: Exporter, services: WithServices, export_id: str) -> Response:
    """Tell how far an export is."""
    export = get_export(services.db, principal.tenant, export_id)
    headers = {} if export.finished else {"Retry-After": str(POLL_SECONDS)}
    return Response(ExportAnswer.of(export).model_dump_json(), media_type="application/json", headers=headers)


@router.get(
    "/api/v1/recommendations/exports/{export_id}/file",
    response_class=Response,
    responses=_FILE,
    summary="Download an export",
)
@threaded("reads")
def download(request: Request, principal: Exporter, services: WithServices, export_id: str) -> Response:
    """Download the file: `user_id`, `rank`, `item_id`, `score`, `source`, one row for each item of each list."""
    export = get_export(services.db, principal.tenant, export_id)
    if not export.finished:
        raise Conflict(
            f"Export {export.id} is {export.status}: there is no file yet. Ask for its state until it is done."
        )
    gone = f"Export {export.id} has no file. {export.message or 'Ask for a new export.'}"
    if export.figures.bytes is None:
        raise ExportNotFound(gone)
    file = export_file(services.lake, export)
    try:
        handle = file.open("rb")
    except FileNotFoundError as error:  # removed in this moment
        raise ExportNotFound(gone) from error
    record_download(services.db, export, now=services.clock(), by=principal.actor(request))
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Length": str(handle.seek(0, os.SEEK_END)),
    }
    handle.seek(0)
    return StreamingResponse(_pieces(handle), media_type=_MEDIA_TYPES[export.request.format], headers=headers)


@router.delete(
    "/api/v1/recommendations/exports/{export_id}", response_model=ExportRemoved, summary="Cancel or remove an export"
)
@threaded("writes")
def remove(request: Request, principal: Exporter, services: WithServices, export_id: str) -> Response:
    """Cancel an export that is in progress; remove a finished one with its file."""
    services.require_writable_lake()
    by = principal.actor(request)
    cancelled = remove_export(services.store(principal.tenant), export_id, now=services.clock(), by=by)
    answer = ExportRemoved(export_id=export_id, status="removed" if cancelled is None else "cancelled")
    return Response(answer.model_dump_json(), media_type="application/json")


def _pieces(handle: IO[bytes]) -> Iterator[bytes]:
    with handle:
        while piece := handle.read(_CHUNK_BYTES):
            yield piece
