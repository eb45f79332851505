"""An answer in the making: what the sources rank becomes one list with ranks, falling scores and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from resources.ranker.candidates import Candidates
from resources.ranker.eligibility.current_items import CurrentItems
from resources.ranker.ranking import Fallback, ItemSource, RankedItem, Ranking
from resources.ranker.reasons import listing_reason, popularity_reason
from resources.ranker.retrieval.repeats import RepeatItems

Reasons = Callable[[NDArray[np.int32]], list[str]]
"""Says for each of the rows `(n,)` why it is in the answer."""
_PINNED = "Chosen by this shop"
_TRENDING = "Trending in this shop"
_REPEAT = "Buy it again"
_DEEPER = 4


class RankingBuilder:
    """An answer in the making: items are added best source first, and a source never gives one that is there already.

    Args:
        wanted: how many items.
        max_per_category: at most so many items of one category; items without a category are not counted.
    """

    def __init__(self, items: CurrentItems, wanted: int, max_per_category: int | None = None) -> None:
        self._items = items
        self._wanted = wanted
        self._cap = max_per_category
        self._of_category: Counter[str | int] = Counter()
        self._ceiling = 1.0
        self.rows: list[int] = []
        self._scores: list[float] = []
        self._sources: list[ItemSource] = []

    @property
    def missing(self) -> int:
        """How many items are still to be found."""
        return self._wanted - len(self.rows)

    def taken(self) -> NDArray[np.int32]:
        """Return the rows `(n,)` in the answer so far."""
        return np.array(self.rows, dtype=np.int32)

    def add_pinned(self, rows: NDArray[np.int32]) -> None:
        """Add the rows `(n,)` that rules put first; their score is 1."""
        if not len(rows):
            return
        kept = rows[self._within_cap(rows)][: self.missing]
        self._add(kept.tolist(), [1.0] * len(kept), ["pinned"] * len(kept))

    def add(
        self,
        candidates: Candidates,
        sources: Callable[[NDArray[np.int32]], list[ItemSource]],
        again: RepeatItems | None = None,
    ) -> int:
        """Add what `candidates` give until the answer is full, and return how many they gave.

        Those that the user buys `again` have that as their source.
        Values above 1, which factors of rules make, are divided by the greatest one.
        """
        if self.missing <= 0:
            return 0
        depth = self.missing
        while True:
            rows, values = candidates(depth)
            found, kept = len(rows), slice(None, self.missing)
            if self._cap is not None:
                within = self._within_cap(rows, count=False)
                if len(within) < self.missing and found == depth:
                    depth *= _DEEPER
                    continue
                within = within[: self.missing]
                self._within_cap(rows[within])
                rows, values = rows[within], values[within]
            rows, values = rows[kept], values[kept]
            if len(values) and values[0] > 1:
                values = values / values[0]
            if len(rows):
                self._add(rows.tolist(), values.tolist(), _named(sources(rows), rows, again))
            return found

    def add_popular(
        self, candidates: Candidates, trends: Callable[[], Iterable[int]] = tuple, *, again: RepeatItems | None = None
    ) -> None:
        """Fill up with popular items, whose scores begin at the score of the last item so far.

        `trends` says, once the items are there, which of them are there because they are trending.
        """
        ceiling = self._ceiling

        def below(depth: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
            rows, values = candidates(depth)
            top = float(values[0]) if len(values) else 1.0
            return rows, values * (ceiling / max(top, 1.0))

        def sources(rows: NDArray[np.int32]) -> list[ItemSource]:
            trending = set(trends())
            return ["trending" if row in trending else "popular" for row in rows.tolist()]

        self.add(below, sources, again)

    def ranking(
        self,
        fallback: Fallback | None,
        algorithm: str,
        *,
        offset: int = 0,
        reasons: Reasons | None = None,
        degraded: bool = False,
    ) -> Ranking:
        """Close the answer without its first `offset` items.

        `algorithm` is the release's; `reasons` explain what vectors ranked, `None` explains nothing.
        """
        if not self.rows:
            return Ranking(items=(), algorithm="popularity", fallback_reason="no_matching_item")
        ranked = next((each for each in self._sources if each != "pinned"), None)
        shown = range(offset, len(self.rows))
        texts = self._reasons(offset, reasons) if reasons is not None else [None] * len(shown)
        card = self._items.card
        items = tuple(
            RankedItem(card(self.rows[place]), self._scores[place], place + 1, self._sources[place], text)
            for place, text in zip(shown, texts, strict=True)
        )
        return Ranking(items, algorithm if ranked is None else _ALGORITHMS.get(ranked, algorithm), degraded, fallback)

    def _reasons(self, offset: int, reasons: Reasons) -> list[str | None]:
        sources = self._sources[offset:]
        if _WITHOUT_VECTOR.isdisjoint(sources):
            return [*reasons(np.array(self.rows[offset:], dtype=np.int32))]
        by_vector = [
            row for row, source in zip(self.rows[offset:], sources, strict=True) if source not in _WITHOUT_VECTOR
        ]
        explained = iter(reasons(np.array(by_vector, dtype=np.int32)) if by_vector else ())
        texts: list[str | None] = []
        for row, source in zip(self.rows[offset:], sources, strict=True):
            if source == "popular":
                texts.append(popularity_reason(self._items, row))
            elif source == "newest":
                texts.append(listing_reason(self._items, row))
            else:
                texts.append(_FIXED[source] if source in _FIXED else next(explained))
        return texts

    def _within_cap(self, rows: NDArray[np.int32], *, count: bool = True) -> NDArray[np.int64]:
        """Return the positions of the rows that the cap leaves; `count` them as taken."""
        if self._cap is None:
            return np.arange(len(rows))
        counts = self._of_category if count else self._of_category.copy()
        kept = []
        for position, category in enumerate(self._items.categories(rows)):
            if category is not None:
                if counts[category] >= self._cap:
                    continue
                counts[category] += 1
            kept.append(position)
        return np.array(kept, dtype=np.int64)

    def _add(self, rows: list[int], scores: list[float], sources: list[ItemSource]) -> None:
        ceiling = self._ceiling
        for score in scores:
            if score < ceiling:
                ceiling = score
            self._scores.append(ceiling)
        self._ceiling = ceiling
        self.rows.extend(rows)
        self._sources.extend(sources)


def _named(sources: list[ItemSource], rows: NDArray[np.int32], again: RepeatItems | None) -> list[ItemSource]:
    if again is None:
        return sources
    return ["repeat" if repeated else source for repeated, source in zip(again.marked(rows), sources, strict=True)]


_FIXED: dict[ItemSource, str] = {"pinned": _PINNED, "trending": _TRENDING, "repeat": _REPEAT}
_WITHOUT_VECTOR: frozenset[ItemSource] = frozenset((*_FIXED, "popular", "newest"))
_ALGORITHMS: dict[ItemSource, str] = {"popular": "popularity", "trending": "popularity", "newest": "newest"}
