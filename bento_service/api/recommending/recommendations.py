"""Recommendations, similar items, and what goes with a basket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, allowed, declare, require
from bento_service.dependencies import Services
from bento_service.http.errors import invalid_fields
from bento_service.http.fast_routes import JsonAnswer
from bento_service.http.json_body import json_body, read_body
from bento_service.recommending.answering import Caller
from bento_service.schemas.common import MAX_COUNT
from bento_service.schemas.recommendations import (
    BundleAnswer,
    BundleRequest,
    RecommendationAnswer,
    RecommendationRequest,
    SimilarAnswer,
    SimilarRequest,
)
from resources.base.errors import FieldProblem
from resources.base.ids import checked_id

_SCOPE = "recommendations:read"
router = APIRouter(tags=["recommendations"], dependencies=[Depends(declare(_SCOPE))])
Reader = Annotated[Principal, Depends(require(_SCOPE))]
_ASK = {
    "for a user": {"user_id": "u1", "count": 10},
    "filtered": {"user_id": "u1", "count": 5, "filters": {"category": "Audio", "max_price": 100}},
    "for a visitor": {"count": 10},
    "what came last": {"user_id": "u1", "count": 10, "strategy": "newest"},
}


@router.post(
    "/api/v1/recommendations",
    response_model=RecommendationAnswer,
    summary="Recommend items",
    openapi_extra=json_body(RecommendationRequest, _ASK),
)
async def recommend(request: Request) -> Response:
    """Recommend items to a user; to one that the release does not know by the events so far, or else popular ones."""
    services: Services = request.app.state.services
    principal = await allowed(request, services, _SCOPE)
    body = await read_body(request, RecommendationRequest, services.bodies)
    principal.check_tenant(body.tenant_id)
    return await _recommend(request, principal, body)


@router.get("/recommend/{user_id:path}", response_model=RecommendationAnswer, summary="Recommend items, short form")
async def recommend_short(
    request: Request,
    principal: Reader,
    user_id: Annotated[str, Path(description="Your id of the user.")],
    k: Annotated[int, Query(ge=1, le=MAX_COUNT, description="How many items.")] = 10,
) -> Response:
    """Answer what `POST /api/v1/recommendations` answers for `{user_id, count: k}`."""
    try:
        user_id = checked_id(user_id)
    except ValueError as error:
        raise invalid_fields([FieldProblem("user_id", str(error))]) from error
    return await _recommend(request, principal, RecommendationRequest(user_id=user_id, count=k))


@router.post(
    "/api/v1/recommendations/similar",
    response_model=SimilarAnswer,
    summary="Find similar items",
    openapi_extra=json_body(SimilarRequest, {"like one item": {"item_id": "i1", "count": 10}}),
)
async def similar(request: Request) -> Response:
    """Find the items most like one item; for an item the model does not know, popular ones of its category."""
    services: Services = request.app.state.services
    principal = await allowed(request, services, _SCOPE)
    body = await read_body(request, SimilarRequest, services.bodies)
    principal.check_tenant(body.tenant_id)
    return JsonAnswer(await services.answering.similar(caller_of(request, principal), body))


@router.post(
    "/api/v1/recommendations/bundle",
    response_model=BundleAnswer,
    summary="Find what goes with a basket",
    openapi_extra=json_body(BundleRequest, {"with two items": {"item_ids": ["i1", "i2"], "count": 5}}),
)
async def bundle(request: Request) -> Response:
    """Find the items that are bought together with those of a basket and are no alternatives to them."""
    services: Services = request.app.state.services
    principal = await allowed(request, services, _SCOPE)
    body = await read_body(request, BundleRequest, services.bodies)
    principal.check_tenant(body.tenant_id)
    return JsonAnswer(await services.answering.bundle(caller_of(request, principal), body))


FAST = (recommend, similar, bundle)


def caller_of(request: Request, principal: Principal) -> Caller:
    """Return the credential that asks, for `Answering`."""
    state = request.scope["state"]
    return Caller(principal.tenant, principal.key_id, state["request_id"], state["started"], principal.sandbox)


async def _recommend(request: Request, principal: Principal, body: RecommendationRequest) -> Response:
    services: Services = request.app.state.services
    return JsonAnswer(await services.answering.recommend(caller_of(request, principal), body))
