"""Taking an upload from a request: a small file is checked before the answer, a large one is stored and queued."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from bento_service.api.auth import Principal
from bento_service.dependencies import Services
from bento_service.http.multipart import ReceivedFile, received_file
from bento_service.schemas.uploads import UploadAnswer, UploadJobAnswer
from resources.access.actor import Actor
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import counting_uploads
from resources.jobs.kinds.uploads import ReceivedUpload, UploadJob
from resources.tenants.settings import TenantSettings
from resources.training.readiness import Readiness, measure_readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.headers.mapping import laid_over, mapping_of
from resources.uploads.jobs import submit_upload
from resources.uploads.store import stored_report
from resources.uploads.store_in_child import store_in_child

POLL_SECONDS = 1
"""How often a client may ask for the state of a job."""
_COUNTED_ROWS = 500_000
"""Interactions that are counted before the answer: half a second or less."""


async def receive_upload(
    request: Request, principal: Principal, services: Services, kind: Kind, *, validate_only: bool
) -> Response:
    """Take a file from the request, and answer with its report or, with status 202, with its job.

    The file of a sandbox is checked, and not stored.
    """
    services.require_writable_lake()
    validate_only = validate_only or principal.sandbox
    settings, sent = services.settings, _Sent(principal.tenant, principal.actor(request), validate_only)
    async with received_file(
        request,
        folder=settings.home / "incoming",
        max_bytes=settings.max_upload_bytes,
        pause=settings.request_timeout_seconds,
    ) as file:
        if file.size <= settings.inline_upload_bytes:
            answer = await services.upload_slots.run(
                request, principal.tenant, file.path, _store, services, sent, kind, file
            )
            if answer is not None:
                return Response(answer.model_dump_json(), media_type="application/json")
        job = await services.threads.writes.run(principal.tenant.value, _submit, services, sent, kind, file)
    if isinstance(job, UploadAnswer):
        return Response(job.model_dump_json(), media_type="application/json")
    services.job_worker.wake()
    accepted = UploadJobAnswer.of(job)
    return Response(
        accepted.model_dump_json(),
        status_code=202,
        media_type="application/json",
        headers={"Location": accepted.status_url, "Retry-After": str(POLL_SECONDS)},
    )


def with_url(report: UploadReport) -> UploadReport:
    """Return the report with the address of its rejected rows, if there are any to download."""
    if not report.rows_rejected or report.validate_only:
        return report
    return report.model_copy(update={"rejected_url": f"/api/v1/uploads/{report.upload_id}/rejected"})


@dataclass(frozen=True, slots=True)
class _Sent:
    """For whom a file was sent, by whom, and whether it is only to be checked."""

    tenant: TenantId
    by: Actor
    validate_only: bool


def _store(services: Services, sent: _Sent, kind: Kind, file: ReceivedFile) -> UploadAnswer | None:
    """Check and store, or return None when that takes too long for an answer; it runs in a worker thread."""
    tenant = sent.tenant
    upload = IncomingUpload(
        kind,
        file.path,
        filename=file.filename,
        origin="http",
        received_at=services.clock(),
        sha256=file.sha256,
        validate_only=sent.validate_only,
        by=sent.by,
    )
    policy = UploadPolicy(
        _settings(services, tenant, kind, file),
        services.settings.max_upload_bytes,
        UploadLimits.of(services.settings, at_once=True),
    )
    try:
        report = store_in_child(services.store(tenant), upload, policy)
    except TakesLong:  # a small file may hold gigabytes of text or millions of rows
        return None
    if not report.validate_only and not report.already_stored:
        services.metrics.upload(tenant.value, report)
    return _answer(services, tenant, report)


def _settings(services: Services, tenant: TenantId, kind: Kind, file: ReceivedFile) -> TenantSettings:
    """Return the tenant's settings, with the mapping that came with the file laid over them."""
    settings = get_tenant(services.db, tenant).settings
    return settings if file.mapping is None else laid_over(settings, kind, mapping_of(kind, file.mapping))


def _submit(services: Services, sent: _Sent, kind: Kind, file: ReceivedFile) -> UploadJob | UploadAnswer:
    """Copy into the lake and commit, or answer with the report of what is stored already; blocks on the disk."""
    tenant = sent.tenant
    settings = _settings(services, tenant, kind, file)
    store = services.store(tenant)
    stored = stored_report(store, kind, file.sha256, settings, now=services.clock())
    if stored is not None:
        return _answer(services, tenant, stored.model_copy(update={"validate_only": sent.validate_only}))
    received = ReceivedUpload(
        kind=kind.value,
        filename=file.filename,
        source="http",
        sha256=file.sha256,
        validate_only=sent.validate_only,
        bytes_total=file.size,
        by=sent.by,
        mapping=None if file.mapping is None else json.loads(file.mapping),
    )
    job = submit_upload(store, file.path, received, now=services.clock())
    services.job_worker.count()
    return job


def _answer(services: Services, tenant: TenantId, report: UploadReport) -> UploadAnswer:
    readiness = None
    if report.kind is Kind.INTERACTIONS and not report.validate_only:
        readiness = _readiness(services, tenant)
    return UploadAnswer(**with_url(report).model_dump(), readiness=readiness)


def _readiness(services: Services, tenant: TenantId) -> Readiness | None:
    uploads = counting_uploads(services.db, tenant, kind=Kind.INTERACTIONS.value)
    if sum(upload.rows_accepted for upload in uploads) > _COUNTED_ROWS:
        return None
    return measure_readiness(services.store(tenant))
