"""What goes with a basket: the items that are bought together with what is in it, and are no alternatives to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ItemNotFound
from resources.ranker.candidates import ByList
from resources.ranker.eligibility.current_items import CurrentItems
from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.eligible import EligibleItems
from resources.ranker.query import BundleQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Fallback, Ranking
from resources.ranker.ranking_builder import RankingBuilder
from resources.release.load import LoadedRelease

_REASONS = {
    "purchases": "Often bought together with {}",
    "carts": "Often in one basket with {}",
    "choices": "Often chosen together with {}",
}
_OF_CATEGORY = 500
"""So many of the most popular items of a category tell which categories go with it."""
_CATEGORIES = 3


def bundle(
    ranker: Ranker, query: BundleQuery, *, overlay: ItemOverlay | None = None, rules: RankRules | None = None
) -> Ranking:
    """Rank what is bought together with the query's items, by the release's table of what goes together.

    Ids that nobody knows are passed over. Where the table has too little, popular items of the categories that go with
    those of the basket come first, then those of the whole shop. When everything that passes was seen, seen items are
    answered, degraded.

    Raises:
        ItemNotFound: neither the release nor the overlay knows any of the items.
    """
    basket = _Basket.of(ranker.release, ranker.items(overlay), query.item_ids)

    def among(filters: Filters) -> Ranking:
        return basket.ranking(query, ranker.answerable(filters, basket.rows, overlay=overlay, rules=rules))

    if query.seen:
        ranking = among(replace(query.filters, exclude_ids=(*query.filters.exclude_ids, *query.seen)))
        if ranking.fallback_reason != "no_matching_item":
            return ranking
    ranking = among(query.filters)
    if query.seen and ranking.items:
        return replace(ranking, degraded=True, fallback_reason="all_seen")
    return ranking


def unknown_items(ranker: Ranker, item_ids: tuple[str, ...], *, overlay: ItemOverlay | None = None) -> tuple[str, ...]:
    """Return those of the ids that neither the release nor the overlay knows, in their order."""
    items = ranker.items(overlay)
    return tuple(item_id for item_id in item_ids if items.row(item_id) is None)


@dataclass(frozen=True, slots=True)
class _Basket:
    """A basket as one release knows it.

    Attributes:
        rows: `(n,)` int32 ascending; how the items were ordered does not matter, nor how often one was there.
        of_release: `(m,)`, those that the release knows.
    """

    release: LoadedRelease
    items: CurrentItems
    rows: NDArray[np.int32]
    of_release: NDArray[np.int32]

    @classmethod
    def of(cls, release: LoadedRelease, items: CurrentItems, item_ids: tuple[str, ...]) -> _Basket:
        rows = np.unique(items.rows(item_ids))
        if not len(rows):
            raise ItemNotFound(
                f"release {release.version} of tenant {release.manifest.tenant} knows none of the items asked for, "
                f"such as {item_ids[0][:100]!r}; upload them, and they are known after the next release."
            )
        return cls(release, items, rows, rows[rows < items.release_size])

    def ranking(self, query: BundleQuery, eligible: EligibleItems) -> Ranking:
        found = RankingBuilder(self.items, query.offset + query.count)
        found.add_pinned(eligible.pinned)
        given = found.add(self._associated(eligible), lambda rows: ["bundle"] * len(rows))
        fallback: Fallback | None = None if given or found.missing <= 0 else "no_association"
        if found.missing > 0:
            found.add_popular(eligible.popular(found.taken(), only=self._categories()))
            found.add_popular(eligible.popular(found.taken()))
        reasons = self._reasons if query.explain else None
        return found.ranking(fallback, "association", offset=query.offset, reasons=reasons)

    def _associated(self, eligible: EligibleItems) -> ByList:
        """Items by the sum of what the basket's items say for them, s / (1 + s); of equal ones the lower row first."""
        table = self.release.bundles
        if table is None:
            return ByList(self.rows[:0], np.empty(0), eligible.mask(), eligible.rules)
        entries = table.entries(self.of_release)
        rows, places = np.unique(entries.items, return_inverse=True)
        sums = np.bincount(places, entries.values, len(rows))
        order = np.argsort(-sums, kind="stable")
        allowed = eligible.mask()
        allowed[eligible.pinned] = False
        return ByList(rows[order].astype(np.int32), sums[order] / (1 + sums[order]), allowed, eligible.rules)

    def _categories(self) -> NDArray[np.bool_]:
        """Return `(items.size,)` bool: what to fill up from first.

        That is the categories that go with the basket's, by the table; where it says nothing, the basket's own.
        """
        items, table = self.items, self.release.bundles
        one_of_each = dict(zip(items.categories(self.rows), self.rows.tolist(), strict=True)).values()
        own: NDArray[np.bool_] = np.logical_or.reduce([items.category_of(row) for row in one_of_each])
        if table is None:
            return own
        catalogue = self.release.catalogue
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

    def _reasons(self, rows: NDArray[np.int32]) -> list[str]:
        """Name for each of `rows` `(n,)` that the table gave the item of the basket that says most for it."""
        table, figures = self.release.bundles, self.release.manifest.bundles
        if table is None:
            return []
        template = _REASONS[figures.evidence if figures is not None else "choices"]
        entries = table.entries(self.of_release)
        speakers = np.repeat(self.of_release, entries.counts)
        order = np.lexsort((speakers, -entries.values, entries.items))  # of each item, who says most comes first
        spoken_for, speakers = entries.items[order], speakers[order]
        best = speakers[np.searchsorted(spoken_for, rows)]
        return [template.format(self.items.name(row)) for row in best.tolist()]
