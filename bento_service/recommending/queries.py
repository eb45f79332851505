"""From the bodies of requests to the ranker's queries."""

from __future__ import annotations

from dataclasses import replace

from bento_service.recommending.page import Page
from bento_service.recommending.recent_events import VisitInteractions
from bento_service.schemas.recommendations import FilterBody, RecommendationRequest, SimilarRequest
from resources.ranker.eligibility.filters import Filters
from resources.ranker.fold_in import event_weight
from resources.ranker.query import NO_FILTERS, RankingQuery, SimilarQuery


def ranking_query(asked: RecommendationRequest, page: Page, visit: VisitInteractions | None) -> RankingQuery:
    """Return the query for a page of what is asked; `visit` is what happened in the visit and was not tracked."""
    left_out = page.shown if asked.current_item is None else (asked.current_item, *page.shown)
    filters = _filters(asked.filters)
    return RankingQuery(
        user_id=asked.user_id,
        count=page.fetched,
        filters=replace(filters, exclude_ids=(*filters.exclude_ids, *left_out)) if left_out else filters,
        exclude_seen=asked.exclude_seen,
        recent_items=visit.items if visit is not None else (),
        recent_weights=tuple(map(event_weight, visit.types)) if visit is not None else None,
        explain=asked.explain,
        diversity=asked.diversity,
        max_per_category=asked.max_per_category,
    )


def similar_query(asked: SimilarRequest) -> SimilarQuery:
    """Return the query for what is asked."""
    return SimilarQuery(asked.item_id, asked.count, filters=_filters(asked.filters), explain=False)


def _filters(body: FilterBody) -> Filters:
    return body.filters() if body.model_fields_set else NO_FILTERS
