"""Repeat purchases in an answer: where among the new items an item that the user has bought belongs.

What is fitted, and where it comes from, is in `recsaas_assets.recommender.repeats`; evaluation merges lists with the
same `merged_order`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.candidates import Candidates
from resources.ranker.eligible import EligibleItems
from resources.ranker.retrieval.search import Found
from resources.release.manifest import RepeatCurve

NEVER = -np.inf
"""The lead of an item that is not to come again."""
_LEAST_FACTOR = 1e-9


def leads(curve: RepeatCurve, columns: NDArray[np.float32], days: float) -> NDArray[np.float64]:
    """How much likelier each pair is to be bought again than the user's best new item to be bought, in log odds `(n,)`.

    Args:
        columns: `(n, 3)`: what does not change with time, the age of the last purchase at `days` = 0, and the usual
            gap between two purchases, both in days. A gap of 0 says that the pair is not one that may come again.
        days: since the release's newest interaction.
    """
    fixed, age, gap = columns.astype(np.float64).T
    age = age + days
    found = fixed + time_terms(age, np.maximum(gap, 1)) @ np.array([curve.age, curve.overdue, curve.early])
    return np.where((gap > 0) & (age >= curve.earliest_days), found, NEVER)


def time_terms(age: NDArray[np.float64], gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n, 3)`: log(1 + age), by how much that is above the usual gap's logarithm, and by how much below."""
    since = np.log1p(age)
    late = since - np.log1p(gap)
    return np.stack([since, np.maximum(late, 0), np.maximum(-late, 0)], axis=1)


def merged_order(curve: RepeatCurve, repeat_leads: NDArray[np.float64], n_new: int) -> NDArray[np.int64]:
    """Merge repeats into a list of new items: positions in (new items, then repeats), best first.

    The new item at place r has the lead `curve.slope` · log r, which falls; equal leads go to the new item.

    Args:
        repeat_leads: `(m,)`, see `leads`; repeats that may never come are left out.
    """
    new = curve.slope * np.log(np.arange(1, n_new + 1))
    order = np.argsort(-np.concatenate([new, repeat_leads]), kind="stable")
    return order[: n_new + np.count_nonzero(repeat_leads > NEVER)]


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """The items that a user may buy again, best first: rows `(m,)` int32 and leads `(m,)`."""

    curve: RepeatCurve
    rows: NDArray[np.int32]
    leads: NDArray[np.float64]

    @classmethod
    def of(cls, curve: RepeatCurve, rows: NDArray[np.int32], found: NDArray[np.float64]) -> Repeats:
        """Keep what may come, in its order."""
        order = np.lexsort((rows, -found))
        order = order[found[order] > NEVER]
        return cls(curve, rows[order], found[order])

    def among(self, eligible: EligibleItems, taken: NDArray[np.int32]) -> Repeats:
        """Keep what may be answered and is not `taken` `(n,)`; a factor of the rules multiplies the odds."""
        kept = eligible.mask()[self.rows] & ~np.isin(self.rows, taken)
        rows, found = self.rows[kept], self.leads[kept]
        for factor, group in eligible.rules.groups:
            found = found + np.where(np.isin(rows, group), np.log(max(factor, _LEAST_FACTOR)), 0.0)
        return Repeats.of(self.curve, rows, found)

    def without(self, taken: NDArray[np.int32]) -> Repeats:
        """Return the repeats without the rows `taken` `(n,)`."""
        kept = ~np.isin(self.rows, taken)
        return Repeats(self.curve, self.rows[kept], self.leads[kept])


@dataclass(frozen=True, slots=True)
class WithRepeats:
    """New items with those to buy again among them; the values stay those of the places."""

    new: Candidates
    repeats: Repeats

    def __call__(self, depth: int) -> Found:
        rows, values = self.new(depth)
        order = merged_order(self.repeats.curve, self.repeats.leads, len(rows))[:depth]
        merged = np.concatenate([rows, self.repeats.rows])[order]
        short = len(merged) - len(values)
        if short > 0:  # fewer new items than places: the last value goes on
            last = values[-1:] if len(values) else np.ones(1)
            values = np.concatenate([values, np.repeat(last, short)])
        return merged.astype(np.int32), values[: len(merged)]
