"""The answer to a query: one that this worker kept, one that another worker kept, or a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bento_service.recommending.answer_cache import AnswerCache, KeptAnswer, SharedAnswers
from bento_service.scheduling.threads import Lane
from bento_service.telemetry.metrics import Metrics
from resources.ranker.query import BundleQuery, RankingQuery, SimilarQuery
from resources.ranker.ranking import Ranking
from resources.recommendations.context import ServingContext

INLINE_ITEMS = 50_000
"""Up to this many items an answer is ranked on the event loop: handing it to a thread costs more than ranking it."""


class AnswerKey(NamedTuple):
    """All that an answer depends on: the `ServingContext.key`, the query, and where its page begins."""

    context: tuple[str, str, int, tuple[str, ...]]
    query: RankingQuery | SimilarQuery | BundleQuery
    page: tuple[float, int, bool] | None = None


class KeptAnswers:
    """Answers of a worker. Belongs to the event loop.

    Args:
        lane: where what takes long is ranked.
    """

    def __init__(self, local: AnswerCache, shared: SharedAnswers | None, metrics: Metrics, lane: Lane) -> None:
        self._local = local
        self._shared = shared
        self._metrics = metrics
        self._lane = lane

    async def get(
        self,
        context: ServingContext,
        key: AnswerKey,
        rank: Callable[[], Ranking],
        finish: Callable[[Ranking], KeptAnswer],
    ) -> tuple[KeptAnswer, bool]:
        """Return the answer of `key`, which is ranked and finished unless it is kept, and whether it was kept."""
        kept = self._local.get(key)
        if kept is not None:
            return kept, True
        if self._shared is not None:
            kept = await self._shared.get(key)
            if kept is not None:
                self._local.put(key, kept)
                return kept, True
        self._metrics.answer_cache("miss")
        if _is_quick(context, key.query):
            kept = finish(rank())
        else:
            kept = finish(await self._lane.run(context.visitor.tenant.value, rank))
        self._local.put(key, kept)
        if self._shared is not None:
            self._shared.put(key, kept)
        return kept, False


def _is_quick(context: ServingContext, query: RankingQuery | SimilarQuery | BundleQuery) -> bool:
    """Tell whether the event loop can rank it: a cap on categories may look through the whole catalogue."""
    release = context.release
    capped = isinstance(query, RankingQuery) and query.max_per_category is not None
    return release.catalogue.size <= INLINE_ITEMS and release.second_stage_items is None and not capped
