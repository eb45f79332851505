"""Recommendations and similar items."""

from __future__ import annotations

import uuid
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from bento_service.auth import Principal, require
from bento_service.errors import invalid_fields
from bento_service.release_cache import LiveRelease
from bento_service.requests import json_body, read_json
from bento_service.schemas.common import MAX_COUNT, checked_id
from bento_service.schemas.recommendations import (
    AnswerMetadata,
    FallbackReason,
    Freshness,
    Recommendation,
    RecommendationAnswer,
    RecommendationRequest,
    SimilarAnswer,
    SimilarItem,
    SimilarRequest,
)
from bento_service.services import Services, WithServices
from resources.errors import FieldProblem
from resources.event_log import Touch
from resources.ranker.fold_in import event_weight
from resources.ranker.ranking import RankedItem, Ranking

router = APIRouter(tags=["recommendations"])
Reader = Annotated[Principal, Depends(require("recommendations:read"))]

_ASK = {
    "for a user": {"user_id": "u1", "count": 10},
    "filtered": {"user_id": "u1", "count": 5, "filters": {"category": "Audio", "max_price": 100}},
    "for a visitor": {"count": 10},
}


@router.post(
    "/api/v1/recommendations",
    response_model=RecommendationAnswer,
    summary="Recommend items",
    openapi_extra=json_body(RecommendationRequest, _ASK),
)
async def recommend(request: Request, principal: Reader, services: WithServices) -> Response:
    """Recommend items to a user; to one that the release does not know by the events so far, or else popular ones."""
    asked = await read_json(request, RecommendationRequest, timeout=services.settings.request_timeout_seconds)
    principal.check_tenant(asked.tenant_id)
    if asked.cursor is not None:
        raise invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")])
    return await _recommend(request, principal, services, asked)


@router.get("/recommend/{user_id:path}", response_model=RecommendationAnswer, summary="Recommend items, short form")
async def recommend_short(
    request: Request,
    principal: Reader,
    services: WithServices,
    user_id: Annotated[str, Path(description="Your id of the user.")],
    k: Annotated[int, Query(ge=1, le=MAX_COUNT, description="How many items.")] = 10,
) -> Response:
    """Answer what `POST /api/v1/recommendations` answers for `{user_id, count: k}`."""
    try:
        user_id = checked_id(user_id)
    except ValueError as error:
        raise invalid_fields([FieldProblem("user_id", str(error))]) from error
    return await _recommend(request, principal, services, RecommendationRequest(user_id=user_id, count=k))


@router.post(
    "/api/v1/recommendations/similar",
    response_model=SimilarAnswer,
    summary="Find similar items",
    openapi_extra=json_body(SimilarRequest, {"like one item": {"item_id": "i1", "count": 10}}),
)
async def similar(request: Request, principal: Reader, services: WithServices) -> Response:
    """Find the items most like one item; for an item the model does not know, popular ones of its category."""
    asked = await read_json(request, SimilarRequest, timeout=services.settings.request_timeout_seconds)
    principal.check_tenant(asked.tenant_id)
    live = await services.releases.get(principal.tenant)
    ranking = await run_in_threadpool(
        live.ranker.similar, asked.item_id, asked.count, filters=asked.filters.filters(), explain=False
    )
    answer = SimilarAnswer(
        similar_items=tuple(
            SimilarItem(
                item_id=item.item_id,
                name=item.title,
                title=item.title,
                category=item.category,
                price=item.price,
                similarity_score=item.score,
            )
            for item in ranking.items
        ),
        metadata=_metadata(request, principal, services, live, ranking),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def _recommend(
    request: Request, principal: Principal, services: Services, asked: RecommendationRequest
) -> Response:
    live = await services.releases.get(principal.tenant)
    ranking = await run_in_threadpool(_rank, services, principal, live, asked)
    answer = RecommendationAnswer(
        recommendation_id=uuid.uuid4().hex,
        recommendations=tuple(_shown(item) for item in ranking.items),
        metadata=_metadata(request, principal, services, live, ranking),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _rank(services: Services, principal: Principal, live: LiveRelease, asked: RecommendationRequest) -> Ranking:
    """Rank with what the user did since the release; blocks on the control DB."""
    recent = tuple(Touch(event.item_id, event.interaction_type or "") for event in asked.recent_events)
    if asked.user_id is not None:
        watermark = live.ranker.release.manifest.event_watermark
        tracked = services.events.touches_of_user(principal.tenant, asked.user_id, after=watermark)
        recent = (*tracked, *recent)
    return live.ranker.recommend(
        asked.user_id,
        asked.count,
        filters=asked.filters.filters(),
        exclude_seen=asked.exclude_seen,
        live_items=tuple(touch.item_id for touch in recent),
        live_weights=tuple(event_weight(touch.interaction_type) for touch in recent),
        explain=asked.explain,
    )


def _shown(item: RankedItem) -> Recommendation:
    return Recommendation(
        item_id=item.item_id,
        title=item.title,
        name=item.title,
        category=item.category,
        price=item.price,
        image_url=item.image_url,
        score=item.score,
        rank=item.rank,
        source=item.source,
        reason=item.reason,
    )


def _metadata(
    request: Request, principal: Principal, services: Services, live: LiveRelease, ranking: Ranking
) -> AnswerMetadata:
    manifest = live.ranker.release.manifest
    reason: FallbackReason | None = "last_good_release" if live.problem is not None else ranking.fallback_reason
    if reason is not None:
        services.metrics.fallback(principal.tenant.value, reason)
    return AnswerMetadata(
        model_version=f"{manifest.algorithm}-{manifest.version}",
        release_version=manifest.version,
        algorithm=ranking.algorithm,
        latency_ms=round((perf_counter() - request.state.started) * 1000, 3),
        degraded=ranking.degraded or live.problem is not None,
        fallback_reason=reason,
        freshness=Freshness(events_until=manifest.events_until, trained_at=manifest.trained_at),
    )
