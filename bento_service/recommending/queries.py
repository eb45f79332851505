"""From the bodies of requests to the ranker's queries."""

from __future__ import annotations

from dataclasses import replace

from bento_service.recommending.page import Page
from bento_service.recommending.recent_events import VisitInteractions
from bento_service.schemas.recommendations import BundleRequest, FilterBody, RecommendationRequest, SimilarRequest
from resources.ranker.eligibility.filters import Filters
from resources.ranker.fold_in import event_weight
from resources.ranker.query import BOUGHT, NO_FILTERS, BundleQuery, RankingQuery, SimilarQuery


def ranking_query(request: RecommendationRequest, page: Page, visit: VisitInteractions | None) -> RankingQuery:
    """Return the query for a page of the request; `visit` is what happened in the visit and was not tracked."""
    left_out = page.shown if request.current_item is None else (request.current_item, *page.shown)
    filters = _filters(request.filters)
    return RankingQuery(
        user_id=request.user_id,
        count=page.fetched,
        filters=replace(filters, exclude_ids=(*filters.exclude_ids, *left_out)) if left_out else filters,
        exclude_seen=request.exclude_seen,
        recent_items=visit.items if visit is not None else (),
        recent_weights=tuple(map(event_weight, visit.types)) if visit is not None else None,
        bought=_bought(visit) if visit is not None else (),
        explain=request.explain,
        diversity=request.diversity,
        max_per_category=request.max_per_category,
        strategy=request.strategy,
    )


def _bought(visit: VisitInteractions) -> tuple[str, ...]:
    pairs = zip(visit.items, visit.types, strict=True)
    return tuple([item for item, kind in pairs if kind in BOUGHT])


def similar_query(request: SimilarRequest) -> SimilarQuery:
    """Return the query for items like the one of the request."""
    return SimilarQuery(request.item_id, request.count, filters=_filters(request.filters), explain=False)


def bundle_query(request: BundleRequest) -> BundleQuery:
    """Return the query for what goes with the items of the request, whose order does not matter."""
    return BundleQuery(
        tuple(sorted(set(request.item_ids))),
        request.count,
        filters=_filters(request.filters),
        explain=request.explain,
        offset=request.offset,
    )


def _filters(body: FilterBody) -> Filters:
    return body.filters() if body.model_fields_set else NO_FILTERS
