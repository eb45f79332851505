"""Repeat purchases in an answer: where among the new items an item that the user has bought belongs.

What is fitted, and where it comes from, is in `recsaas_assets.recommender.repeats`; evaluation merges lists with the
same `merged_order`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.release.load import LoadedRelease
from resources.release.manifest import RepeatCurve

NEVER = -np.inf
"""The lead of an item that is not to come again."""


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
class RepeatItems:
    """The items that a user may buy again, best first: rows `(m,)` int32 and leads `(m,)`."""

    curve: RepeatCurve
    rows: NDArray[np.int32]
    leads: NDArray[np.float64]

    @classmethod
    def of(cls, curve: RepeatCurve, rows: NDArray[np.int32], found: NDArray[np.float64]) -> RepeatItems:
        """Keep what may come, in its order."""
        order = np.lexsort((rows, -found))
        order = order[found[order] > NEVER]
        return cls(curve, rows[order], found[order])

    def among(self, allowed: NDArray[np.bool_], factors: Iterable[tuple[float, NDArray[np.int32]]]) -> RepeatItems:
        """Keep what is allowed, a mask over all items; a factor, of the rules, multiplies the odds of its rows."""
        kept = allowed[self.rows]
        rows, found = self.rows[kept], self.leads[kept]
        for factor, group in factors:
            found = found + np.where(np.isin(rows, group), np.log(factor), 0.0)
        return RepeatItems.of(self.curve, rows, found)

    def without(self, taken: NDArray[np.int32]) -> RepeatItems:
        """Return the repeats without the rows `taken` `(n,)`."""
        kept = ~np.isin(self.rows, taken)
        return RepeatItems(self.curve, self.rows[kept], self.leads[kept])

    def marked(self, rows: NDArray[np.int32]) -> list[bool]:
        """Tell of each of `rows` `(n,)` whether it is one of these."""
        return np.isin(rows, self.rows).tolist()  # type: ignore[no-any-return]


def repeats_now(
    release: LoadedRelease, user_id: str | None, *, days: float, stays_out: NDArray[np.int32]
) -> RepeatItems | None:
    """Return what a user may buy again `days` after the release's newest interaction, without the rows `stays_out`.

    `None` where the release knows nothing of repeats, or not of this user's.
    """
    curve, columns = release.manifest.repeats, release.repeats_of(user_id)
    if curve is None or columns is None or not len(columns):
        return None
    history = release.history(user_id)
    kept = ~np.isin(history, stays_out)
    return RepeatItems.of(curve, history[kept], leads(curve, columns, days)[kept])


def waits(release: LoadedRelease, user_id: str | None, row: int) -> bool:
    """Tell whether the item in `row` is one that comes again for the user in time."""
    columns = release.repeats_of(user_id)
    return columns is not None and bool((columns[release.history(user_id) == row, 2] > 0).any())
