"""Uploads: a file in, its report out; the list of what is stored; the rejected rows to download."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bento_service.auth import Principal, require
from bento_service.errors import invalid_fields
from bento_service.requests import multipart_schema
from bento_service.schemas.uploads import StoredUpload, UploadPage, UploadSummary
from bento_service.services import Services, WithServices
from bento_service.upload_stream import FIELD, ReceivedFile, received_file
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import get_upload, list_uploads_page
from resources.errors import FieldProblem, NotFound
from resources.uploads.contract import Kind
from resources.uploads.rejected import rejected_csv
from resources.uploads.report import UploadReport
from resources.uploads.store import read_rejected, read_report, store_upload

router = APIRouter(tags=["uploads"])
Uploader = Annotated[Principal, Depends(require("uploads:write"))]
ItemWriter = Annotated[Principal, Depends(require("items:write"))]
ValidateOnly = Annotated[bool, Query(description="Check the file and store nothing.")]
MAX_LIMIT = 200

_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": multipart_schema(FIELD)}}}


@router.post("/api/v1/upload/{kind}", response_model=UploadReport, summary="Upload a file", openapi_extra=_FORM)
async def upload(
    request: Request, principal: Uploader, services: WithServices, kind: str, validate_only: ValidateOnly = False
) -> Response:
    """Check a file of items, interactions or users row by row and store what is right. `kind` says which it is."""
    wanted = next((known for known in Kind if known.value == kind), None)
    if wanted is None:
        raise NotFound(f"There is no kind of upload {kind[:40]!r}; there are: {', '.join(Kind)}.")
    return await receive_upload(request, principal, services, wanted, validate_only=validate_only)


@router.post("/api/v1/items", response_model=UploadReport, summary="Upload a file of items", openapi_extra=_FORM)
async def upload_items(
    request: Request, principal: ItemWriter, services: WithServices, validate_only: ValidateOnly = False
) -> Response:
    """Do what `POST /api/v1/upload/items` does."""
    return await receive_upload(request, principal, services, Kind.ITEMS, validate_only=validate_only)


@router.get("/api/v1/uploads", response_model=UploadPage, summary="List uploads")
def uploads(
    principal: Uploader,
    services: WithServices,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, Query(max_length=100, description="The `next_cursor` of the page before.")] = None,
) -> Response:
    """List the tenant's uploads, newest first."""
    before = _sequence(cursor) if cursor is not None else None
    found = list_uploads_page(services.db, principal.tenant, limit=limit + 1, before=before)
    page = UploadPage(
        uploads=tuple(UploadSummary.of(record) for record in found[:limit]),
        next_cursor=_cursor(found[limit - 1].sequence) if len(found) > limit else None,
    )
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/api/v1/uploads/{upload_id}", response_model=StoredUpload, summary="Show an upload")
def stored_upload(principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Show the report of a stored upload."""
    record = get_upload(services.db, principal.tenant, upload_id)
    report = _with_url(read_report(services.lake, principal.tenant, upload_id))
    answer = StoredUpload(
        **report.model_dump(), source=record.source, created_at=record.created_at, ingested_run=record.ingested_run
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get(
    "/api/v1/uploads/{upload_id}/rejected",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}},
    summary="Download rejected rows",
)
def rejected(principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Download every rejected row with its line and reasons, as CSV that can be mended and sent again."""
    record = get_upload(services.db, principal.tenant, upload_id)
    content = rejected_csv(read_rejected(services.lake, principal.tenant, record.upload_id))
    disposition = f'attachment; filename="{record.upload_id}-rejected.csv"'
    return Response(content, media_type="text/csv", headers={"Content-Disposition": disposition})


async def receive_upload(
    request: Request, principal: Principal, services: Services, kind: Kind, *, validate_only: bool
) -> Response:
    """Take a file from the request, and answer with its report."""
    limit = services.settings.max_upload_bytes
    async with received_file(request, folder=services.settings.home / "incoming", max_bytes=limit) as file:
        report = await to_thread.run_sync(
            _store, services, principal, kind, file, validate_only, limiter=services.upload_slots
        )
    if not validate_only:
        services.metrics.upload(
            principal.tenant.value,
            kind,
            accepted=report.rows_accepted,
            rejected=report.rows_rejected,
            duplicate=report.rows_duplicate,
        )
    return Response(_with_url(report).model_dump_json(), media_type="application/json")


def _store(
    services: Services, principal: Principal, kind: Kind, file: ReceivedFile, validate_only: bool
) -> UploadReport:
    """Inspect and store; takes long, so it runs in a worker thread."""
    return store_upload(
        services.lake,
        services.db,
        principal.tenant,
        kind,
        file.path,
        filename=file.filename,
        source="http",
        settings=get_tenant(services.db, principal.tenant).settings,
        now=services.clock(),
        max_bytes=services.settings.max_upload_bytes,
        validate_only=validate_only,
    )


def _with_url(report: UploadReport) -> UploadReport:
    if not report.rows_rejected or report.validate_only:
        return report
    return report.model_copy(update={"rejected_url": f"/api/v1/uploads/{report.upload_id}/rejected"})


def _cursor(sequence: int) -> str:
    return base64.urlsafe_b64encode(f"u{sequence}".encode()).decode().rstrip("=")


def _sequence(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if text[:1] != "u":
            raise ValueError("another kind of cursor")
        sequence = int(text[1:])
    except (ValueError, binascii.Error) as error:
        raise invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")]) from error
    if not 0 < sequence < 2**63:
        raise invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")])
    return sequence
