"""Where one item stands in a user's list, or why it is not in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.http.errors import invalid_fields
from bento_service.schemas.common import MAX_COUNT
from bento_service.schemas.decisions import WhyNot
from resources.base.errors import FieldProblem
from resources.base.ids import checked_id
from resources.ranker.eligibility.filters import Filters
from resources.ranker.query import RankingQuery
from resources.recommendations.context import Visitor

router = APIRouter(tags=["recommendations"])
Reader = Annotated[Principal, Depends(require("recommendations:read"))]
_Text = Annotated[str | None, Query(max_length=500)]
_Texts = Annotated[Sequence[str], Query(max_length=100, description="May come several times.")]
_Price = Annotated[float | None, Query(ge=0, allow_inf_nan=False)]


@router.get("/api/v1/recommendations/why-not", response_model=WhyNot, summary="Tell why an item is not recommended")
async def why_not(
    principal: Reader,
    services: WithServices,
    item_id: Annotated[str, Query(description="The item in question.")],
    user_id: Annotated[str | None, Query(description="Your id of the user.")] = None,
    session_id: Annotated[str | None, Query(description="The visit, for a visitor without an id.")] = None,
    scenario: _Text = None,
    category: _Text = None,
    categories: _Texts = (),
    brand: _Text = None,
    tags: _Texts = (),
    min_price: _Price = None,
    max_price: _Price = None,
    exclude_ids: _Texts = (),
    exclude_seen: bool | None = None,
    include_unavailable: bool = False,
    diversity: Annotated[float | None, Query(ge=0, le=1)] = None,
    max_per_category: Annotated[int | None, Query(ge=1, le=MAX_COUNT)] = None,
) -> Response:
    """Look the item up in the whole list that the user would get now: the same events, rules, changes and filters.

    `filtered` (by the filters, or hidden by a rule), `seen`, `unavailable` (or deleted), `unknown`, or `ranked`.
    """
    item_id = _id("item_id", item_id)
    user_id = _id("user_id", user_id) if user_id is not None else None
    session_id = _id("session_id", session_id) if session_id is not None else None
    context = await services.contexts.get(Visitor(principal.tenant, user_id, session_id), scenario)
    query = RankingQuery(
        user_id=user_id,
        filters=Filters(
            category=category,
            categories=tuple(categories),
            brand=brand,
            tags=tuple(tags),
            min_price=min_price,
            max_price=max_price,
            exclude_ids=tuple([_id("exclude_ids", each) for each in exclude_ids]),
            include_unavailable=include_unavailable,
        ),
        exclude_seen=exclude_seen,
        diversity=diversity,
        max_per_category=max_per_category,
    )
    lane = services.threads.heavy
    place = await lane.run(principal.tenant.value, context.place, item_id, context.personalised(query))
    answer = WhyNot(
        user_id=user_id,
        item_id=item_id,
        status=place.state,
        rank=place.item.rank if place.item is not None else None,
        score=place.item.score if place.item is not None else None,
        source=place.item.source if place.item is not None else None,
        message=place.detail,
        release_version=context.release.version,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _id(name: str, value: str) -> str:
    try:
        return checked_id(value)
    except ValueError as error:
        raise invalid_fields([FieldProblem(name, str(error))]) from error
