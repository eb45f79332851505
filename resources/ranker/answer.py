"""An answer in the making: what the sources rank becomes one list with ranks, falling scores and reasons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resources.ranker.filters import FilterView
from resources.ranker.ranking import Fallback, RankedItem, Ranking, Source
from resources.ranker.reasons import popularity_reason
from resources.release.catalogue import Catalogue


class Answer:
    """An answer in the making: items are added best source first and never twice."""

    def __init__(
        self, catalogue: Catalogue, view: FilterView, removed: NDArray[np.int32], count: int, explain: bool
    ) -> None:
        self._catalogue = catalogue
        self._view = view
        self._removed = removed
        self._count = count
        self._explain = explain
        self._taken: list[int] = []
        self._ceiling = 1.0
        self.items: list[RankedItem] = []

    def open_to_model(self) -> NDArray[np.bool_]:
        """Return which rows the model may answer."""
        allowed = self._view.model_mask.copy()
        allowed[self._removed] = False
        return allowed

    def add_model(
        self, rows: NDArray[np.int32], scores: NDArray[np.float64], reasons: list[str | None], source: Source
    ) -> None:
        """Add what vectors ranked; an item whose own vector is from content says so, whatever `source` is."""
        from_content = self._catalogue.from_content[rows].tolist()
        for row, score, reason, content in zip(rows.tolist(), scores.tolist(), reasons, from_content, strict=True):
            self._add(row, score, "content" if content else source, reason)

    def add_popular(self, popular: NDArray[np.int32]) -> None:
        """Fill up from `popular` rows, most popular first.

        The score is the share of the greatest popularity, times the score of the item before the first of them, so
        that scores fall with rank across sources.
        """
        missing = self._count - len(self.items)
        if missing <= 0:
            return
        candidates = popular[: missing + len(self._removed) + len(self._taken)]
        most_popular = self._catalogue.most_popular
        closed = {*self._removed.tolist(), *self._taken}
        ceiling = self._ceiling
        for row in [row for row in candidates.tolist() if row not in closed][:missing]:
            share = float(self._catalogue.popularity[row]) / most_popular if most_popular > 0 else 0.0
            reason = popularity_reason(self._catalogue, row) if self._explain else None
            self._add(row, ceiling * share, "popular", reason)

    def ranking(self, fallback: Fallback | None, algorithm: str, *, degraded: bool = False) -> Ranking:
        """Close the answer; `algorithm` is the release's."""
        if not self.items:
            return Ranking(items=(), algorithm="popularity", fallback_reason="no_matching_item")
        by_popularity = self.items[0].source == "popular"
        return Ranking(tuple(self.items), "popularity" if by_popularity else algorithm, degraded, fallback)

    def _add(self, row: int, score: float, source: Source, reason: str | None) -> None:
        card = self._catalogue.card(row)
        self._ceiling = score = min(score, self._ceiling)
        self._taken.append(row)
        self.items.append(
            RankedItem(
                item_id=card.item_id,
                title=card.title,
                category=card.category,
                brand=card.brand,
                price=card.price,
                image_url=card.image_url,
                score=score,
                rank=len(self.items) + 1,
                source=source,
                reason=reason,
            )
        )
