"""Mappings: how the tenant's files of a kind are read, and a proposal for a file."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bento_service.api.data.uploads import Uploader
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, multipart_schema, read_body
from bento_service.http.multipart import FIELD, ReceivedFile, received_file
from bento_service.scheduling.threads import threaded
from bento_service.schemas.uploads import MappingAnswer, MappingBody
from resources.base.errors import NotFound
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.headers.mapping import GivenMapping
from resources.uploads.mappings import ProposedMapping, clear_mapping, propose_mapping, set_mapping, show_mapping

router = APIRouter(tags=["uploads"])
MAX_HEAD_BYTES = 8 * 1024 * 1024
"""Bytes of a file that is to be proposed for; its first lines are enough."""
_EXAMPLES = {
    "headers and type names": {
        "columns": {"StockCode": "item_id", "CustomerID": "user_id", "InvoiceDate": "timestamp", "Country": "ignore"},
        "default_interaction_type": "purchase",
        "interaction_types": {"bought": "purchase", "page_ping": "ignore"},
    },
    "a dialect": {"separator": ";", "encoding": "windows-1252", "decimal": ",", "date_order": "day_first"},
}
_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": multipart_schema(FIELD, mapping=False)}}}


@router.get("/api/v1/mappings/{kind}", response_model=MappingAnswer, summary="Show a mapping")
@threaded("reads")
def mapping(principal: Uploader, services: WithServices, kind: str) -> Response:
    """Show how the tenant's files of items, interactions or users are read."""
    wanted = _kind(kind)
    return _answer(wanted, show_mapping(services.db, principal.tenant, wanted))


@router.put(
    "/api/v1/mappings/{kind}",
    response_model=MappingAnswer,
    summary="Set a mapping",
    openapi_extra=json_body(MappingBody, _EXAMPLES),
)
async def put_mapping(request: Request, principal: Uploader, services: WithServices, kind: str) -> Response:
    """Replace how the tenant's files of a kind are read; files that come later are read so.

    `interaction_types` replaces the tenant's names of interactions, those of events too; left out, they stay.
    """
    wanted = _kind(kind)
    body = await read_body(request, MappingBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    given = GivenMapping(**body.model_dump(exclude={"tenant_id"}))
    stored = await services.threads.writes.run(
        principal.tenant.value,
        set_mapping,
        services.db,
        principal.tenant,
        wanted,
        given,
        now=services.clock(),
        by=principal.actor(request),
    )
    return _answer(wanted, stored)


@router.delete("/api/v1/mappings/{kind}", response_model=MappingAnswer, summary="Clear a mapping")
@threaded("writes")
def delete_mapping(request: Request, principal: Uploader, services: WithServices, kind: str) -> Response:
    """Forget how the tenant's files of a kind are read; names of interactions stay."""
    wanted = _kind(kind)
    by, now = principal.actor(request), services.clock()
    return _answer(wanted, clear_mapping(services.db, principal.tenant, wanted, now=now, by=by))


@router.post(
    "/api/v1/mappings/{kind}/propose",
    response_model=ProposedMapping,
    summary="Propose a mapping",
    openapi_extra=_FORM,
)
async def propose(request: Request, principal: Uploader, services: WithServices, kind: str) -> Response:
    """Say how a file, or its first lines, would be read, and what its other columns probably are. Nothing is stored."""
    wanted, settings = _kind(kind), services.settings
    async with received_file(
        request,
        folder=settings.home / "incoming",
        max_bytes=min(MAX_HEAD_BYTES, settings.max_upload_bytes),
        pause=settings.request_timeout_seconds,
    ) as file:
        found = await services.upload_slots.run(
            request, principal.tenant, file.path, _propose, services, principal.tenant, wanted, file
        )
    return Response(found.model_dump_json(), media_type="application/json")


def _propose(services: Services, tenant: TenantId, kind: Kind, file: ReceivedFile) -> ProposedMapping:
    policy = UploadPolicy(
        get_tenant(services.db, tenant).settings,
        services.settings.max_upload_bytes,
        UploadLimits.of(services.settings),
    )
    return propose_mapping(kind, file.path, file.filename, policy)


def _kind(name: str) -> Kind:
    wanted = next((known for known in Kind if known.value == name), None)
    if wanted is None:
        raise NotFound(f"There is no kind of upload {name[:40]!r}; there are: {', '.join(Kind)}.")
    return wanted


def _answer(kind: Kind, mapping: GivenMapping) -> Response:
    return Response(MappingAnswer.of(kind, mapping).model_dump_json(), media_type="application/json")
