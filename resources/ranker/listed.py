"""What a list is filled up with, whoever it is for: what most want, what grows, what came last."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resources.ranker.candidates import ByList, Candidates, WithTrending, among_new
from resources.ranker.eligible import EligibleItems
from resources.ranker.query import Strategy
from resources.ranker.ranking import ItemSource
from resources.ranker.ranking_builder import RankingBuilder
from resources.ranker.retrieval.repeats import RepeatItems
from resources.release.catalogue import Catalogue

_NEW_DAYS = 30.0


class Listings:
    """The items of one release by growth and by age; immutable."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._trending = catalogue.trending_rows
        self._growth = -np.expm1(-catalogue.growth[self._trending])
        dated = np.flatnonzero(np.isfinite(catalogue.listed_at))
        order = np.argsort(-catalogue.listed_at[dated], kind="stable")
        self._newest = dated[order].astype(np.int32)
        days = catalogue.listed_at[self._newest]
        self._newness = 1 / (1 + (days[0] - days) / _NEW_DAYS) if len(days) else days

    def fill(
        self,
        found: RankingBuilder,
        eligible: EligibleItems,
        strategy: Strategy,
        diversified: Callable[[Candidates], Candidates],
        *,
        again: RepeatItems | None,
        visitor: bool,
    ) -> bool:
        """Fill up an answer: with what the strategy asks for, then with popular items.

        A `visitor` without any event, who asks for nothing special, gets a trending one in every third place; among
        popular items are those that a user may buy `again`.

        Returns:
            Whether there was anything of what the strategy asks for.
        """
        if found.missing <= 0:
            return True
        given = 1
        if strategy in ("trending", "newest"):
            source: ItemSource = "trending" if strategy == "trending" else "newest"
            listed = self._grown(eligible, found) if strategy == "trending" else self._last(eligible, found)
            given = found.add(diversified(listed), lambda rows: [source] * len(rows))
        popular = eligible.popular(found.taken())
        if strategy != "personal" or not visitor or not len(self._trending):
            again = None if again is None else again.without(found.taken())
            found.add_popular(diversified(among_new(popular, again)), again=again)
            return given > 0
        blended = WithTrending(popular, self._trending[popular.allowed[self._trending]])
        found.add_popular(diversified(blended), trends=lambda: blended.trends)
        return True

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the arrays."""
        return int(self._growth.nbytes + self._newest.nbytes + self._newness.nbytes)

    def _grown(self, eligible: EligibleItems, found: RankingBuilder) -> ByList:
        """What grows, the fastest first; the value is the share of the newest interactions by which there are more."""
        return ByList(self._trending, self._growth, _left(eligible, found), eligible.rules)

    def _last(self, eligible: EligibleItems, found: RankingBuilder) -> ByList:
        """What came last, first what was added since the release; the value is a half after 30 days."""
        items = eligible.items
        added = np.arange(items.size - 1, items.release_size - 1, -1, dtype=np.int32)
        rows, values = np.concatenate([added, self._newest]), np.concatenate([np.ones(len(added)), self._newness])
        return ByList(rows, values, _left(eligible, found), eligible.rules)


def _left(eligible: EligibleItems, found: RankingBuilder) -> NDArray[np.bool_]:
    allowed = eligible.mask()
    allowed[found.taken()] = False
    return allowed
