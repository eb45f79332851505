"""Uploads: a file in, its report out; the list of what is stored; the rejected rows to download."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from bento_service.api.auth import FILES, Principal, require
from bento_service.api.intake import POLL_SECONDS, receive_upload, with_url
from bento_service.dependencies import WithServices
from bento_service.http.json_body import multipart_schema
from bento_service.http.multipart import FIELD
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_number
from bento_service.scheduling.threads import threaded
from bento_service.schemas.uploads import (
    StoredUpload,
    UploadAnswer,
    UploadJobAnswer,
    UploadPage,
    UploadSummary,
    WithdrawnUpload,
)
from resources.base.errors import NotFound
from resources.control_db.uploads import get_upload, list_uploads_page
from resources.jobs.kinds.uploads import UploadJobStatus, get_upload_job
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.report import UploadReport
from resources.uploads.lineage import UploadTrace, trace_upload
from resources.uploads.store import read_report, rejected_csv
from resources.uploads.withdraw import withdraw

router = APIRouter(tags=["uploads"])
# Reports, jobs and rejected rows show what is in the files of others, so no key for single facts gets to them.
Uploader = Annotated[Principal, Depends(require(FILES))]
ValidateOnly = Annotated[bool, Query(description="Check the file and store nothing.")]
_PAGES = pages_by_number("u")

QUEUED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": UploadJobAnswer,
        "description": "Received and safe; it is checked next. `Location` leads to its state and report",
        "headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}},
    }
}
"""How OpenAPI describes the answer to a large file."""
_OF_RECORD = set(StoredUpload.model_fields) - set(UploadReport.model_fields)
"""What the control DB adds to a report."""
_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": multipart_schema(FIELD)}}}


@router.post(
    "/api/v1/upload/{kind}",
    response_model=UploadAnswer,
    responses=QUEUED,
    summary="Upload a file",
    openapi_extra=_FORM,
)
async def upload(
    request: Request, principal: Uploader, services: WithServices, kind: str, validate_only: ValidateOnly = False
) -> Response:
    """Check a file of items, interactions or users row by row and store what is right. `kind` says which it is.

    The form's `mapping` says how this file is read, over what the tenant has set for all of them. A check alone
    answers with `preview`: the first rows as they would be stored.
    """
    wanted = next((known for known in Kind if known.value == kind), None)
    if wanted is None:
        raise NotFound(f"There is no kind of upload {kind[:40]!r}; there are: {', '.join(Kind)}.")
    return await receive_upload(request, principal, services, wanted, validate_only=validate_only)


@router.get("/api/v1/uploads", response_model=UploadPage, summary="List uploads")
@threaded("reads")
def uploads(
    principal: Uploader,
    services: WithServices,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List the tenant's uploads, newest first."""
    found = list_uploads_page(services.db, principal.tenant, limit=limit + 1, before=_PAGES.place(cursor))
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda record: record.sequence)
    page = UploadPage(uploads=tuple(UploadSummary.of(record) for record in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/api/v1/uploads/jobs/{job_id}", response_model=UploadJobAnswer, summary="Show a large upload's progress")
@threaded("reads")
def upload_job(principal: Uploader, services: WithServices, job_id: str) -> Response:
    """Tell how far a large upload is; in the end with the report that a small one is answered with."""
    job = get_upload_job(services.db, principal.tenant, job_id)
    report = None
    if job.report is not None:
        report = UploadReport.model_validate(job.report)
    elif job.status is UploadJobStatus.STORED and job.upload_id is not None:
        report = with_url(read_report(services.lake, principal.tenant, job.upload_id))
    headers = {} if job.finished else {"Retry-After": str(POLL_SECONDS)}
    answer = UploadJobAnswer.of(job, report=report)
    return Response(answer.model_dump_json(), media_type="application/json", headers=headers)


@router.get("/api/v1/uploads/{upload_id}", response_model=StoredUpload, summary="Show an upload")
@threaded("reads")
def stored_upload(principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Show the report of a stored upload."""
    record = get_upload(services.db, principal.tenant, upload_id)
    report = with_url(read_report(services.lake, principal.tenant, upload_id))
    answer = StoredUpload(
        **report.model_dump(),
        **UploadSummary.of(record).model_dump(include=_OF_RECORD),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.delete("/api/v1/uploads/{upload_id}", response_model=WithdrawnUpload, summary="Withdraw an upload")
@threaded("writes")
def withdraw_upload(request: Request, principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Take an upload back: its rows stop counting with the next run. Its report and its trace stay."""
    by = principal.actor(request)
    done = withdraw(services.db, principal.tenant, upload_id, now=services.clock(), by=by)
    answer = WithdrawnUpload(upload=UploadSummary.of(done.upload), send_again=done.send_again)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get(
    "/api/v1/uploads/{upload_id}/rejected",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}},
    summary="Download rejected rows",
)
@threaded("heavy")
def rejected(principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Download every rejected row with its line and reasons, as CSV that can be mended and sent again."""
    record = get_upload(services.db, principal.tenant, upload_id)
    pieces = rejected_csv(services.lake, principal.tenant, record.upload_id)
    first = next(pieces)  # what cannot be read shall have an error's status, which only comes before the first piece
    disposition = f'attachment; filename="{record.upload_id}-rejected.csv"'
    return StreamingResponse(
        chain([first], pieces), media_type="text/csv", headers={"Content-Disposition": disposition}
    )


@router.get("/api/v1/uploads/{upload_id}/trace", response_model=UploadTrace, summary="Show what an upload influenced")
@threaded("heavy")
def trace(principal: Uploader, services: WithServices, upload_id: str) -> Response:
    """Show the run that took the upload in, the releases built from it, their answers, and the rows that count."""
    found = trace_upload(services.store(principal.tenant), services.decisions.store, upload_id)
    return Response(found.model_dump_json(), media_type="application/json")
