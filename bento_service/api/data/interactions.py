"""Tracked events, durable before the answer. A file sent to the same address is an upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from bento_service.access.counters import Taken, give_back
from bento_service.api.auth import Principal, require, require_for_body
from bento_service.api.data.uploads import QUEUED, ValidateOnly
from bento_service.api.intake import receive_upload
from bento_service.dependencies import Services, WithServices
from bento_service.events.each import SomeWrong, append_each, sort_events
from bento_service.events.tracking import EventChecks, check_retry, events_of
from bento_service.http.errors import error_info, http_status_of
from bento_service.http.json_body import json_body, media_type, read_body
from bento_service.schemas.interactions import (
    EachEvent,
    EachRequest,
    EventBatch,
    EventBody,
    EventsChecked,
    NextActions,
    TrackAnswer,
    TrackBatchAnswer,
    TrackEachAnswer,
    TrackedEvent,
    TrackRequest,
)
from bento_service.schemas.uploads import UploadAnswer
from resources.base.errors import RecsaasError
from resources.events.log import AppendResult, Event
from resources.tenants.settings import IGNORE
from resources.uploads.contract.columns import Kind

router = APIRouter(tags=["events"])
Writer = Annotated[Principal, Depends(require("interactions:write"))]
WriterOrUploader = Annotated[Principal, Depends(require_for_body("interactions:write"))]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=256, description="The same request again stores nothing new."),
]
Tracked = TrackAnswer | TrackBatchAnswer | TrackEachAnswer | EventsChecked
Partial = Annotated[
    bool,
    Query(
        description="Store the events that are right, and answer with one result for each. A file is taken like that "
        "anyway."
    ),
]

_EXAMPLES = {
    "one event": {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "event_id": "order-17-line-1"},
    "many events": {"events": [{"user_id": "u1", "item_id": "i1", "interaction_type": "purchase", "price": 9.5}]},
    "a visitor": {"session_id": "visit-17", "item_id": "i1", "interaction_type": "view"},
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
    partial: Partial = False,
) -> Response:
    """Store one event, or up to 1,000 of them, all or none; a multipart body with a `file` is an upload."""
    if media_type(request) == "multipart/form-data":
        return await receive_upload(request, principal, services, Kind.INTERACTIONS, validate_only=validate_only)
    track = _track_each if partial else _track
    return await track(request, principal, services, idempotency_key, store=not validate_only)


@router.post(
    "/events",
    response_model=Tracked,
    summary="Track events, short form",
    openapi_extra=json_body(TrackRequest, _EXAMPLES),
)
async def track_short(
    request: Request,
    principal: Writer,
    services: WithServices,
    idempotency_key: IdempotencyKey = None,
    validate_only: ValidateOnly = False,
    partial: Partial = False,
) -> Response:
    """Do what `POST /api/v1/interactions` does with JSON."""
    track = _track_each if partial else _track
    return await track(request, principal, services, idempotency_key, store=not validate_only)


async def _track(
    request: Request, principal: Principal, services: Services, key: str | None, *, store: bool
) -> Response:
    body = (await read_body(request, TrackRequest, services.bodies)).root
    batch = not isinstance(body, EventBody)
    bodies = (body,) if isinstance(body, EventBody) else body.events if isinstance(body, EventBatch) else body
    principal.check_tenant(body.tenant_id if isinstance(body, EventBatch) else None)
    for event in bodies:
        principal.check_tenant(event.tenant_id)
    now = services.clock()
    events = await services.tenant_settings.apply(
        principal.tenant,
        lambda settings: events_of(bodies, settings=settings, now=now, idempotency_key=key, batch=batch),
    )
    if not store:
        return _json(EventsChecked(events=len(events), processed_at=services.clock()))
    if key is not None and not principal.sandbox:
        await _check_retry(services, principal, tuple(zip(bodies, events, strict=True)), key, length=len(events))
    if principal.sandbox:
        return _json(_answer(tuple(map(_unstored, events)), services, batch=batch))
    counted = await services.plans.count_events(request.scope["state"], len(events))
    results = await _appended(services, principal, events, counted, now=now)
    services.metrics.events(principal.tenant.value, sum(map(_is_new, results)))
    return _json(_answer(results, services, batch=batch))


async def _track_each(
    request: Request, principal: Principal, services: Services, key: str | None, *, store: bool
) -> Response:
    """Store the events that are right, in one transaction, and answer with one result for each."""
    body = await read_body(request, EachRequest, services.bodies)
    principal.check_tenant(body.tenant_id)
    for each in body.events:
        principal.check_tenant(_tenant_of(each))
    now = services.clock()
    try:
        found = await services.tenant_settings.apply(
            principal.tenant, lambda settings: sort_events(body.events, EventChecks.of(settings, now, key))
        )
    except SomeWrong as wrong:
        found = wrong.sorted
    outcome: Mapping[int, AppendResult | RecsaasError | None]
    if not store:
        outcome = dict.fromkeys(found.good) | dict(found.problems)
    elif principal.sandbox:
        outcome = {place: _unstored(event) for place, (_, event) in found.good.items()} | dict(found.problems)
    else:
        if key is not None:
            good = tuple(found.good.values())
            await _check_retry(services, principal, good, key, length=len(body.events), each=True)
        counted = await services.plans.count_events(request.scope["state"], len(found.good))
        new = 0
        try:
            outcome = await append_each(
                services.event_writer, principal.tenant, found, now=now, key_id=principal.key_id
            )
            new = sum(isinstance(each, AppendResult) and _is_new(each) for each in outcome.values())
        finally:
            give_back(counted, len(found.good) - new)
    results = tuple(_result(outcome[place], request) for place in range(len(body.events)))
    tracked = sum(each.duplicate is False and not each.ignored for each in results)
    if not principal.sandbox:
        services.metrics.events(principal.tenant.value, tracked)
    rejected = sum(each.error is not None for each in results)
    answer = TrackEachAnswer(
        status="tracked" if not rejected else "rejected" if rejected == len(results) else "partial",
        tracked=tracked,
        duplicates=sum(each.duplicate is True for each in results),
        ignored=sum(each.ignored for each in results),
        rejected=rejected,
        events=results,
        processed_at=services.clock(),
    )
    return _json(answer)


def _unstored(event: Event) -> AppendResult:
    """What a sandbox is answered: as if the event were stored, which it is not."""
    return AppendResult(event.event_id, seq=0, duplicate=False, ignored=event.interaction_type == IGNORE)


async def _appended(
    services: Services,
    principal: Principal,
    events: Sequence[Event],
    counted: Taken | None,
    *,
    now: datetime,
) -> tuple[AppendResult, ...]:
    """Store the events, and count those no more that were there already or are ignored."""
    stored = 0
    try:
        results = await services.event_writer.append(principal.tenant, events, now=now, key_id=principal.key_id)
        stored = sum(map(_is_new, results))
        return results
    finally:
        give_back(counted, len(events) - stored)


def _is_new(result: AppendResult) -> bool:
    return not (result.duplicate or result.ignored)


async def _check_retry(
    services: Services,
    principal: Principal,
    tracked: Sequence[tuple[EventBody, Event]],
    key: str,
    *,
    length: int,
    each: bool = False,
) -> None:
    await services.threads.reads.run(
        principal.tenant.value,
        check_retry,
        services.event_writer.log,
        principal.tenant,
        tracked,
        idempotency_key=key,
        length=length,
        each=each,
    )


def _result(outcome: AppendResult | RecsaasError | None, request: Request) -> EachEvent:
    """Show what became of one event; `None` is one that is right and was not to be stored."""
    if isinstance(outcome, RecsaasError):
        request_id = request.scope["state"]["request_id"]
        return EachEvent(status=http_status_of(outcome), error=error_info(outcome, request_id))
    if outcome is None:
        return EachEvent(status=200)
    return EachEvent(status=200, interaction_id=outcome.event_id, duplicate=outcome.duplicate, ignored=outcome.ignored)


def _tenant_of(event: object) -> str | None:
    tenant = event.get("tenant_id") if isinstance(event, dict) else None
    return tenant if isinstance(tenant, str) and tenant else None


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _answer(results: tuple[AppendResult, ...], services: Services, *, batch: bool) -> Tracked:
    now = services.clock()
    # Events since the release are read for every answer; when to train again is the pipeline's own schedule.
    actions = NextActions(retrain_recommended=False, incremental_update=True)
    if not batch:
        (result,) = results
        return TrackAnswer(
            status="ignored" if result.ignored else "tracked",
            interaction_id=result.event_id,
            duplicate=result.duplicate,
            processed_at=now,
            next_actions=actions,
        )
    duplicates, ignored = (sum(getattr(result, what) for result in results) for what in ("duplicate", "ignored"))
    return TrackBatchAnswer(
        tracked=len(results) - duplicates - ignored,
        duplicates=duplicates,
        ignored=ignored,
        events=tuple(
            TrackedEvent(interaction_id=r.event_id, duplicate=r.duplicate, ignored=r.ignored) for r in results
        ),
        processed_at=now,
        next_actions=actions,
    )
