"""Candidates that are known before anybody asks: items with values, the best first, less what is not allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.eligibility.current_items import CurrentItems
from resources.ranker.eligibility.row_rules import RowRules
from resources.ranker.eligible import EligibleItems
from resources.ranker.retrieval.search import Found
from resources.release.catalogue import Catalogue

_NEW_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class ByList:
    """Rows with values, valued by these times the factors of the rules.

    Attributes:
        rows: `(n,)` int32, distinct, best first.
        values: `(n,)` float64 from 0 to 1, never rising.
        allowed: `(items.size,)` bool.
    """

    rows: NDArray[np.int32]
    values: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    rules: RowRules

    def __call__(self, depth: int) -> Found:
        kept = self.allowed[self.rows]
        rows, values = self.rows[kept], self.values[kept]
        if self.rules.groups:
            factors = np.ones(len(self.allowed))
            for factor, group in self.rules.groups:
                factors[group] = factor
            values = values * factors[rows]
            order = np.argsort(-values, kind="stable")
            rows, values = rows[order], values[order]
        return rows[:depth], values[:depth]


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

    def trending(self, eligible: EligibleItems, taken: NDArray[np.int32]) -> ByList:
        """Return what grows, the fastest first; the value is the share of the newest interactions that is more."""
        return ByList(self._trending, self._growth, _left(eligible, taken), eligible.rules)

    def newest(self, items: CurrentItems, eligible: EligibleItems, taken: NDArray[np.int32]) -> ByList:
        """Return what came last, first what was added since the release; the value halves in the first 30 days."""
        added = np.arange(items.size - 1, items.release_size - 1, -1, dtype=np.int32)
        rows, values = np.concatenate([added, self._newest]), np.concatenate([np.ones(len(added)), self._newness])
        return ByList(rows, values, _left(eligible, taken), eligible.rules)

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the arrays."""
        return int(self._growth.nbytes + self._newest.nbytes + self._newness.nbytes)


def _left(eligible: EligibleItems, taken: NDArray[np.int32]) -> NDArray[np.bool_]:
    allowed = eligible.mask()
    allowed[taken] = False
    return allowed
