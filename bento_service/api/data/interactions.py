"""Tracked events, durable before the answer. A file sent to the same address is an upload."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require, require_for_body
from bento_service.api.data.uploads import QUEUED, ValidateOnly
from bento_service.api.intake import receive_upload
from bento_service.dependencies import Services, WithServices
from bento_service.events.tracking import check_retry, events_of
from bento_service.http.json_body import json_body, media_type, read_body
from bento_service.schemas.interactions import (
    EventBatch,
    NextActions,
    TrackAnswer,
    TrackBatchAnswer,
    TrackedEvent,
    TrackRequest,
)
from bento_service.schemas.uploads import UploadAnswer
from resources.events.log import AppendResult
from resources.uploads.contract.columns import Kind

router = APIRouter(tags=["events"])
Writer = Annotated[Principal, Depends(require("interactions:write"))]
WriterOrUploader = Annotated[Principal, Depends(require_for_body("interactions:write"))]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=256, description="The same request again stores nothing new."),
]
Tracked = TrackAnswer | TrackBatchAnswer

_EXAMPLES = {
    "one event": {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "event_id": "order-17-line-1"},
    "many events": {"events": [{"user_id": "u1", "item_id": "i1", "interaction_type": "purchase", "price": 9.5}]},
    "an impression": {"user_id": "u1", "interaction_type": "recommendations_shown", "metadata": {"place": "home"}},
}


@router.post(
    "/api/v1/interactions",
    response_model=Tracked | UploadAnswer,
    responses=QUEUED,
    summary="Track events, or upload a file of interactions",
    openapi_extra=json_body(TrackRequest, _EXAMPLES, file_field="file"),
)
async def track(
    request: Request,
    principal: WriterOrUploader,
    services: WithServices,
    idempotency_key: IdempotencyKey = None,
    validate_only: ValidateOnly = False,
) -> Response:
    """Store one event, or up to 1,000 of them, all or none; a multipart body with a `file` is an upload."""
    if media_type(request) == "multipart/form-data":
        return await receive_upload(request, principal, services, Kind.INTERACTIONS, validate_only=validate_only)
    return await _track(request, principal, services, idempotency_key)


@router.post(
    "/events",
    response_model=Tracked,
    summary="Track events, short form",
    openapi_extra=json_body(TrackRequest, _EXAMPLES),
)
async def track_short(
    request: Request, principal: Writer, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Do what `POST /api/v1/interactions` does with JSON."""
    return await _track(request, principal, services, idempotency_key)


async def _track(request: Request, principal: Principal, services: Services, key: str | None) -> Response:
    body = (await read_body(request, TrackRequest, services.bodies)).root
    bodies = body.events if isinstance(body, EventBatch) else (body,)
    principal.check_tenant(body.tenant_id)
    for event in bodies:
        principal.check_tenant(event.tenant_id)
    batch = isinstance(body, EventBatch)
    now = services.clock()
    checked = partial(events_of, bodies, now=now, idempotency_key=key, batch=batch)
    events = await services.tenant_settings.apply(principal.tenant, lambda settings: checked(settings=settings))
    if key is not None:
        await services.threads.reads.run(
            principal.tenant.value,
            check_retry,
            services.event_writer.log,
            principal.tenant,
            bodies,
            events,
            idempotency_key=key,
        )
    results = await services.event_writer.append(principal.tenant, events, now=now)
    services.metrics.events(principal.tenant.value, sum(not result.duplicate for result in results))
    answer = _answer(results, services, batch=batch)
    return Response(answer.model_dump_json(), media_type="application/json")


def _answer(results: tuple[AppendResult, ...], services: Services, *, batch: bool) -> Tracked:
    now = services.clock()
    # Events since the release are read for every answer; when to train again is the pipeline's own schedule.
    actions = NextActions(retrain_recommended=False, incremental_update=True)
    if not batch:
        (result,) = results
        return TrackAnswer(
            interaction_id=result.event_id, duplicate=result.duplicate, processed_at=now, next_actions=actions
        )
    duplicates = sum(result.duplicate for result in results)
    return TrackBatchAnswer(
        tracked=len(results) - duplicates,
        duplicates=duplicates,
        events=tuple(TrackedEvent(interaction_id=r.event_id, duplicate=r.duplicate) for r in results),
        processed_at=now,
        next_actions=actions,
    )
