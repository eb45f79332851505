"""The audit log: read, exported and verified, by a tenant for itself and by the office for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain as joined
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from bento_service.api.auth import OfficePrincipal, Principal, require, require_office
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_number
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.audit import AuditEntryAnswer, AuditPageAnswer, ChainBody, VerificationAnswer
from bento_service.schemas.common import OptionalId
from resources.access.actor import Actor
from resources.audit.entries import Change, chain_of, record
from resources.audit.export import AuditFormat, export_pieces
from resources.audit.keeping.daily import heads_folder
from resources.audit.keeping.heads import read_heads
from resources.audit.reading import (
    AuditEntry,
    AuditFilter,
    AuditPage,
    is_reading_noted,
    newest_number,
    note_reading,
    read_batch,
    read_page,
)
from resources.audit.subjects import subject_of
from resources.audit.verifying import Verification, verify_chain
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant

router = APIRouter(tags=["audit"])
Auditor = Annotated[Principal, Depends(require("audit:read"))]
OfficeAuditor = Annotated[OfficePrincipal, Depends(require_office("audit:read"))]
VERIFIED_AT_ONCE = 100_000
"""Entries that one request verifies: a few seconds."""
_PAGES = pages_by_number("a")
_MEDIA_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()},
        "description": "The file",
    }
}


def _filter(
    actor: Annotated[str | None, Query(max_length=254, description="Id or name of who did it.")] = None,
    action: Annotated[str | None, Query(max_length=64, description="`rule.add`, or `rule` for all of them.")] = None,
    object_id: Annotated[
        str | None, Query(alias="object", max_length=256, description="Id of what was changed.")
    ] = None,
    q: Annotated[str | None, Query(max_length=100, description="A part of a name, an id, a reason.")] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Entries from this time on.")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Entries before this time.")] = None,
    request_id: Annotated[str | None, Query(max_length=128)] = None,
) -> AuditFilter:
    return AuditFilter(
        actor=actor, action=action, object_id=object_id, text=q, since=since, until=until, request_id=request_id
    )


Wanted = Annotated[AuditFilter, Depends(_filter)]
AboutUser = Annotated[OptionalId, Query(description="Entries about this user of the shop.")]


@router.get("/api/v1/audit", response_model=AuditPageAnswer, summary="Read the audit log")
@threaded("reads")
def audit(
    request: Request,
    principal: Auditor,
    services: WithServices,
    wanted: Wanted,
    user_id: AboutUser = None,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List what was changed, by whom, newest first; once an hour this is an entry itself.

    Users of the shop stand in it as keyed hashes: `user_id` finds the entries about one.
    """
    below, tenant = _PAGES.place(cursor), principal.tenant
    _note_reading(services, principal.actor(request), tenant)
    if user_id is not None:
        with services.db.read() as session:
            wanted = replace(wanted, object_id=subject_of(session, tenant, user_id))
    return _page(services.db, [chain_of(tenant)], wanted, limit, below)


@router.get("/api/v1/audit/export", response_class=Response, responses=_FILE, summary="Export the audit log")
@threaded("reads")
def export(
    request: Request, principal: Auditor, services: WithServices, wanted: Wanted, format: AuditFormat = "jsonl"
) -> Response:
    """Download the entries that fit, oldest first: JSON lines with everything that a hash is of, or CSV."""
    tenant, now = principal.tenant, services.clock()
    change = Change(action="audit.export", object_kind="audit", object_id=tenant.value, after={"format": format})
    with services.db.write() as session:
        newest = newest_number(session, tenant.value)
        record(session, principal.actor(request), change, tenant=tenant, now=now)
    pieces = export_pieces(_entries(services.db, tenant.value, wanted, newest), format)
    name = f"audit-{tenant}-{now:%Y-%m-%d}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(joined([next(pieces)], pieces), media_type=_MEDIA_TYPES[format], headers=headers)


@router.get("/api/v1/audit/verify", response_model=VerificationAnswer, summary="Verify the audit log")
@threaded("heavy")
def verify(
    request: Request,
    principal: Auditor,
    services: WithServices,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
) -> Response:
    """Walk the tenant's chain of entries, and say whether it is unbroken, or where it is broken first."""
    return _verified(services, principal.tenant, after, principal.actor(request))


@router.get("/api/v1/admin/audit", response_model=AuditPageAnswer, summary="Read every audit log")
async def audit_of_all(
    request: Request,
    principal: OfficeAuditor,
    services: WithServices,
    wanted: Wanted,
    tenant_id: Annotated[str | None, Query(max_length=64, description="Of this tenant. Left out: of all.")] = None,
    platform: Annotated[bool, Query(description="What belongs to no tenant, alone.")] = False,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List what was changed, over all tenants and the platform or of one, newest first."""
    below, by = _PAGES.place(cursor), principal.actor(request)
    tenant = None if tenant_id is None else TenantId.parse(tenant_id)
    chains = [chain_of(tenant)] if tenant is not None or platform else None

    def read() -> Response:
        if tenant is not None:
            get_tenant(services.db, tenant)  # nobody begins a chain by looking for it
        _note_reading(services, by, tenant)
        return _page(services.db, chains, wanted, limit, below)

    return await services.threads.reads.run(principal.id, read)


@router.post(
    "/api/v1/admin/audit/verify",
    response_model=VerificationAnswer,
    summary="Verify an audit log",
    openapi_extra=json_body(ChainBody, {"of a tenant": {"tenant_id": "my-shop"}, "of the platform": {}}),
)
async def verify_any(request: Request, principal: OfficeAuditor, services: WithServices) -> Response:
    """Walk the chain of a tenant, or of the platform, and say whether it is unbroken."""
    body = await read_body(request, ChainBody, services.bodies)
    tenant = None if body.tenant_id is None else TenantId.parse(body.tenant_id)
    return await services.threads.heavy.run(
        principal.id, _verified, services, tenant, body.after, principal.actor(request)
    )


def _page(db: ControlDb, chains: Sequence[str] | None, wanted: AuditFilter, limit: int, below: int | None) -> Response:
    with db.read() as session:
        page: AuditPage = read_page(session, chains, wanted, limit=limit, below=below)
    answer = AuditPageAnswer(
        entries=tuple(map(AuditEntryAnswer.of, page.entries)),
        next_cursor=None if page.below is None else _PAGES.cursor(page.below),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _note_reading(services: Services, by: Actor, tenant: TenantId | None) -> None:
    """Record that somebody looks, before they do. Most often that is known, and then nothing is written."""
    now = services.clock()
    with services.db.read() as session:
        known = is_reading_noted(session, by, tenant=tenant, now=now)
    if not known:
        with services.db.write() as session:
            note_reading(session, by, tenant=tenant, now=now)


def _entries(db: ControlDb, chain: str, wanted: AuditFilter, newest: int) -> Iterator[AuditEntry]:
    after = 0
    while True:
        with db.read() as session:
            batch = read_batch(session, chain, wanted, after=after, up_to=newest)
        if not batch:
            return
        after = batch[-1].number
        yield from batch


def _verified(services: Services, tenant: TenantId | None, after: int, by: Actor) -> Response:
    if tenant is not None:
        get_tenant(services.db, tenant)
    chain = chain_of(tenant)
    exported = read_heads(heads_folder(services.settings, services.lake), chain)
    with services.db.read() as session:
        found: Verification = verify_chain(session, chain, exported=exported, after=after, most=VERIFIED_AT_ONCE)
    result: dict[str, object] = {"unbroken": found.unbroken, "first": found.first, "last": found.last}
    if found.broken is not None:
        result |= {"number": found.broken.number, "damage": found.broken.damage}
    change = Change(action="audit.verify", object_kind="audit", object_id=chain, after=result)
    with services.db.write() as session:
        record(session, by, change, tenant=tenant, now=services.clock())
    return Response(VerificationAnswer.of(found, tenant).model_dump_json(), media_type="application/json")
