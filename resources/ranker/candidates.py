"""Where the items of an answer come from: each source gives its first n items, best first, as deep as it is asked.

`source(depth)` returns at most `depth` rows `(n,)` int32 with values `(n,)` float64 that never rise; fewer mean that
there are no more. A deeper call begins with what a shallower one returned. (With an approximate index nearly always: a
deeper search may find a neighbour that a shallower one missed.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.diversity import POOL, marginal_relevance
from resources.ranker.eligibility.current_items import CurrentItems, Patch
from resources.ranker.eligibility.row_rules import RowRules
from resources.ranker.retrieval.search import Found
from resources.ranker.second_stage import CANDIDATES

Candidates = Callable[[int], Found]
"""Gives its best rows, at most as many as it is asked for, and their values; see above."""
Reorder = Callable[[NDArray[np.int32], NDArray[np.float64]], NDArray[np.int32]]
"""Takes rows `(n,)`, best first, with their products `(n,)`, and returns them in another order."""

_EVERY = 3
"""Every third place of a list for a visitor without events belongs to an item that is trending."""


@dataclass(frozen=True, slots=True)
class ByScore:
    """The best items by a model, valued by their scores times the factors of the rules.

    Attributes:
        top: gives the best rows of a mask `(n_items,)`, with their products, cosines or scores by a table, which
            `scores` maps to 0–1.
        among: the same for a list of rows.
        allowed: `(n_items,)` bool.
        reorder: the second stage, `None` without one; the values are those of the places.
    """

    top: Callable[[int, NDArray[np.bool_]], Found]
    among: Callable[[int, NDArray[np.int32]], Found]
    scores: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    allowed: NDArray[np.bool_]
    rules: RowRules
    reorder: Reorder | None = None

    def __call__(self, depth: int) -> Found:
        if self.rules.groups:
            return self._with_factors(depth)
        rows, products = self.top(depth if self.reorder is None else max(depth, CANDIDATES), self.allowed)
        if self.reorder is not None:
            rows = self.reorder(rows, products)
        return rows[:depth], self.scores(products[:depth])

    def _with_factors(self, depth: int) -> Found:
        """Merge the best of every factor: within one factor the order is that of the products, so nothing is missed."""
        plain = self.allowed.copy()
        parts: list[Found] = []
        if self.reorder is not None:
            rows, products = self.top(CANDIDATES, plain)
            rows = self.reorder(rows, products)
            values = self.scores(products)
            for factor, group in self.rules.groups:
                values = np.where(np.isin(rows, group), values * factor, values)
            parts.append((rows, values))
            plain[rows] = False
        for factor, group in self.rules.groups:
            inside = group[group < len(plain)]
            inside = inside[plain[inside]]
            plain[inside] = False
            rows, products = self.among(depth, inside)
            parts.append((rows, self.scores(products) * factor))
        rows, products = self.top(depth, plain)
        parts.append((rows, self.scores(products)))
        return best_of(parts, depth)


@dataclass(frozen=True, slots=True)
class ByPopularity:
    """The most popular of the items allowed, valued by the share of the greatest popularity.

    Attributes:
        popular: `(n,)` rows of the release, most popular first.
        patch: of the overlay; its changed items are valued one by one.
        allowed: `(items.size,)` bool.
    """

    items: CurrentItems
    popular: NDArray[np.int32]
    patch: Patch
    allowed: NDArray[np.bool_]
    rules: RowRules

    def __call__(self, depth: int) -> Found:
        if not self.rules.groups and not len(self.patch.shut) and not len(self.patch.opened):
            rows = self._first(depth, self.allowed)
            return rows, self._shares(rows)
        plain = self.allowed.copy()
        plain[self.patch.opened] = False
        parts: list[Found] = []
        for factor, group in self.rules.groups:
            plain[group] = False
            parts.append(self._among(group[self.allowed[group]], factor))
        boosted = [group for _, group in self.rules.groups]
        others = (
            self.patch.opened[~np.isin(self.patch.opened, np.concatenate(boosted))] if boosted else self.patch.opened
        )
        parts.append(self._among(others[self.allowed[others]], 1.0))
        rows = self._first(depth, plain)
        parts.append((rows, self._shares(rows)))
        return best_of(parts, depth)

    def _first(self, depth: int, allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
        reach = 2 * depth + 64
        while True:
            head = self.popular[:reach]
            rows = head[allowed[head]]
            if len(rows) >= depth or reach >= len(self.popular):
                return rows[:depth]
            reach *= 8

    def _among(self, rows: NDArray[np.int32], factor: float) -> Found:
        values = self._shares(rows) * factor
        order = np.lexsort((rows, -values))
        return rows[order], values[order]

    def _shares(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        most = self.items.catalogue.most_popular
        return self.items.popularity(rows) / most if most > 0 else np.zeros(len(rows))


class WithTrending:
    """Popular items with a trending one in every third place while there are any; values stay those of the places.

    Args:
        popular: the popular items.
        trending: `(n,)` rows allowed, the fastest growing first.

    Attributes:
        trends: the rows that are in a place for trending items, of the deepest call so far.
    """

    def __init__(self, popular: Candidates, trending: NDArray[np.int32]) -> None:
        self._popular = popular
        self._trending = trending
        self.trends: set[int] = set()

    def __call__(self, depth: int) -> Found:
        popular, values = self._popular(depth)
        trending = iter(self._trending.tolist())
        places: dict[int, None] = {}
        for row in popular.tolist():
            if len(places) % _EVERY == _EVERY - 1:
                fresh = next((each for each in trending if each not in places), None)
                if fresh is not None:
                    places[fresh] = None
                    self.trends.add(fresh)
            places.setdefault(row)
        return np.array(list(places)[: len(popular)], dtype=np.int32), values


@dataclass(frozen=True, slots=True)
class Diversified:
    """The first `POOL` items of a source in the order of maximal marginal relevance; values stay those of the places.

    Attributes:
        vectors: gives for rows of the release `(n,)` vectors `(n, d)`, in which two items are alike.
        n_items: of the release; items added since are like none.
    """

    source: Candidates
    vectors: Callable[[NDArray[np.int32]], NDArray[np.float32]]
    n_items: int
    diversity: float

    def __call__(self, depth: int) -> Found:
        rows, values = self.source(max(depth, POOL))
        pool = rows[:POOL]
        inside = pool < self.n_items
        known = self.vectors(pool[inside])
        vectors = np.zeros((len(pool), known.shape[1]), dtype=np.float32)
        vectors[inside] = known
        chosen = pool[marginal_relevance(values[:POOL], vectors, self.diversity, min(depth, POOL))]
        return np.concatenate([chosen, rows[POOL:depth]]), values[:depth]


def best_of(parts: list[Found], depth: int) -> Found:
    """Merge rows and values, `(n,)` each, into the `depth` greatest values; of equal ones the earlier list is first."""
    rows = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    order = np.argsort(-values, kind="stable")[:depth]
    return rows[order].astype(np.int32), values[order]
