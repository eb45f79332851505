"""What goes with a basket: the items that are bought together with what is in it, and are no alternatives to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ItemNotFound
from resources.ranker.eligibility.current_items import CurrentItems
from resources.ranker.eligibility.filters import Filters, FilterViews
from resources.ranker.eligibility.row_rules import RowRules
from resources.ranker.eligible import EligibleItems
from resources.ranker.listed import ByList
from resources.ranker.query import BundleQuery
from resources.ranker.ranking import Fallback, Ranking
from resources.ranker.ranking_builder import RankingBuilder
from resources.release.item_table import ItemTable
from resources.release.load import LoadedRelease

_REASONS = {
    "purchases": "Often bought together with {}",
    "carts": "Often in one basket with {}",
    "choices": "Often chosen together with {}",
}
_OF_CATEGORY = 500
"""So many of the most popular items of a category tell which categories go with it."""
_CATEGORIES = 3


@dataclass(frozen=True, slots=True)
class BasketRows:
    """The items of a basket that are known, `(n,)` int32 ascending, and those of them that the release knows."""

    rows: NDArray[np.int32]
    of_release: NDArray[np.int32]

    @classmethod
    def of(cls, items: CurrentItems, item_ids: tuple[str, ...]) -> BasketRows:
        """Look the ids up; their order does not matter, nor how often one is there."""
        rows = np.unique(items.rows(item_ids))
        return cls(rows, rows[rows < items.release_size])


class BundleRanker:
    """Answers from the bundle table of one release. Safe to share between threads."""

    def __init__(self, release: LoadedRelease, views: FilterViews) -> None:
        self._release = release
        self._views = views
        figures = release.manifest.bundles
        self._reason = _REASONS[figures.evidence if figures is not None else "purchases"]

    def ranking(self, query: BundleQuery, items: CurrentItems, rules: RowRules) -> Ranking:
        """Rank what goes with the query's items; see `Ranker.bundle`."""
        basket = BasketRows.of(items, query.item_ids)
        if not len(basket.rows):
            raise ItemNotFound(
                f"release {self._release.version} of tenant {self._release.manifest.tenant} knows none of the items "
                f"asked for, such as {query.item_ids[0][:100]!r}; upload them, and they are known after the next "
                "release."
            )
        if query.seen:
            unseen = replace(query.filters, exclude_ids=(*query.filters.exclude_ids, *query.seen))
            ranking = self._ranking(basket, query, unseen, items, rules)
            if ranking.fallback_reason != "no_matching_item":
                return ranking
        ranking = self._ranking(basket, query, query.filters, items, rules)
        if query.seen and ranking.items:
            return replace(ranking, degraded=True, fallback_reason="all_seen")
        return ranking

    def _ranking(
        self, basket: BasketRows, query: BundleQuery, filters: Filters, items: CurrentItems, rules: RowRules
    ) -> Ranking:
        eligible = EligibleItems.of(self._views, items, rules, filters, also_removed=basket.rows)
        found = RankingBuilder(items, query.offset + query.count)
        found.add_pinned(eligible.pinned)
        table = self._release.bundles
        given = 0
        if table is not None and len(basket.of_release):
            given = found.add(self._associated(table, basket, eligible), lambda rows: ["bundle"] * len(rows))
        fallback: Fallback | None = None if given or found.missing <= 0 else "no_association"
        if found.missing > 0:
            found.add_popular(eligible.popular(found.taken(), only=self._categories(table, basket, items)))
            found.add_popular(eligible.popular(found.taken()))
        reasons = None
        if query.explain:
            reasons = lambda rows: self._reasons(table, basket, items, rows)  # noqa: E731
        return found.ranking(fallback, "association", offset=query.offset, reasons=reasons)

    def _associated(self, table: ItemTable, basket: BasketRows, eligible: EligibleItems) -> ByList:
        """Items by the sum of what the basket's items say for them, s / (1 + s); of equal ones the lower row first."""
        entries = table.entries(basket.of_release)
        rows, places = np.unique(entries.items, return_inverse=True)
        sums = np.bincount(places, entries.values, len(rows))
        order = np.argsort(-sums, kind="stable")
        allowed = eligible.mask()
        allowed[eligible.pinned] = False
        return ByList(rows[order].astype(np.int32), sums[order] / (1 + sums[order]), allowed, eligible.rules)

    def _categories(self, table: ItemTable | None, basket: BasketRows, items: CurrentItems) -> NDArray[np.bool_]:
        """Return `(items.size,)` bool: what to fill up from first.

        That is the categories that go with the basket's, by the table; where it says nothing, the basket's own.
        """
        own = np.logical_or.reduce([items.category_of(row) for row in basket.rows.tolist()])
        if table is None:
            return own
        catalogue = self._release.catalogue
        popular = catalogue.popular_rows
        like_these = popular[own[popular]][:_OF_CATEGORY]
        entries, codes = table.entries(like_these), catalogue.category.codes
        strength = np.bincount(codes[entries.items] + 1, entries.values, len(catalogue.category.of) + 1)[1:]
        best = np.argsort(-strength, kind="stable")[:_CATEGORIES]
        best = best[strength[best] > 0]
        if not len(best):
            return own
        chosen = np.zeros(items.size, dtype=np.bool_)
        chosen[: items.release_size] = np.isin(codes, best)
        return chosen

    def _reasons(
        self, table: ItemTable | None, basket: BasketRows, items: CurrentItems, rows: NDArray[np.int32]
    ) -> list[str]:
        """Name for each of `rows` `(n,)` the item of the basket that says most for it."""
        if table is None:
            return []
        best: dict[int, tuple[float, int]] = {}
        wanted = set(rows.tolist())
        for row in basket.of_release.tolist():
            spoken_for, values = table.row(row)
            for item, value in zip(spoken_for.tolist(), values.tolist(), strict=True):
                if item in wanted and value > best.get(item, (0.0, 0))[0]:
                    best[item] = (value, row)
        return [self._reason.format(items.name(best[row][1])) for row in rows.tolist()]

