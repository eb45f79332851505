"""Why an item is in an answer, in one sentence that is true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from resources.ranker.eligibility.current_items import CurrentItems
from resources.release.item_table import TableEntries

HISTORY_LIMIT = 200


class Interests(Protocol):
    """What a user did, as reasons for items."""

    @property
    def rows(self) -> NDArray[np.int32]:
        """The rows `(m,)` of the user's items that may be named, most recent last."""
        ...

    def without(self, *unsaid: NDArray[np.int32]) -> Self:
        """Return the interests without these rows: items that a shop has taken back are not named."""
        ...

    def support(self, rows: NDArray[np.int32]) -> NDArray[np.floating]:
        """Return how much each of the user's items speaks for each of `rows` `(n,)`, `(n, m)`."""
        ...


@dataclass(frozen=True, slots=True)
class VectorInterests:
    """The support of a user's items for an item: that of item j for item i is weight_j · voice_j · vector_i.

    For a user vector made from events at answer time, with `fold_in` as voices, these products add up to the item's own
    product, so the greatest is what contributed most. (In a recomputed one the trained vector stands for the sum over
    the history.) A trained vector does not come apart like this: there the voices are the item vectors, and the
    greatest product belongs to the item most like it.

    Attributes:
        history: `(n,)` int32 of the user's items, most recent last; only the newest 200 are looked at.
        vectors: `(n_items, t)`, the item vectors.
        voices: `(n_items, t)`.
        weights: `(n,)`; `None` is 1 each.
    """

    history: NDArray[np.int32]
    vectors: NDArray[np.float32]
    voices: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None

    @property
    def rows(self) -> NDArray[np.int32]:
        """See `Interests`."""
        return self.history[-HISTORY_LIMIT:]

    def without(self, *unsaid: NDArray[np.int32]) -> VectorInterests:
        """See `Interests`."""
        closed = [rows for rows in unsaid if len(rows)]
        if not closed:
            return self
        kept = ~np.isin(self.history, np.concatenate(closed))
        weights = None if self.weights is None else self.weights[kept]
        return replace(self, history=self.history[kept], weights=weights)

    def support(self, rows: NDArray[np.int32]) -> NDArray[np.floating]:
        """See `Interests`."""
        products = self.vectors[rows] @ self.voices[self.rows].T
        if self.weights is not None:
            products *= self.weights[-HISTORY_LIMIT:]
        return products


@dataclass(frozen=True, slots=True)
class TableInterests:
    """The summands of a score by an item table: that of item j for item i is weight_j · table[j, i].

    Their sum over the history is the personal part of the score, so the greatest is what contributed most.

    Attributes:
        rows: `(m,)` int32 of the user's items, each once, most recent last.
        entries: the rows of the table that belong to them.
        weights: `(m,)`; an item with 0 is not named, and neither is one that the user speaks against.
        n_items: of the table.
    """

    rows: NDArray[np.int32]
    entries: TableEntries
    weights: NDArray[np.float64]
    n_items: int

    def without(self, *unsaid: NDArray[np.int32]) -> TableInterests:
        """See `Interests`; the rows stay, and weigh nothing."""
        closed = [rows for rows in unsaid if len(rows)]
        if not closed:
            return self
        return replace(self, weights=np.where(np.isin(self.rows, np.concatenate(closed)), 0.0, self.weights))

    def support(self, rows: NDArray[np.int32]) -> NDArray[np.floating]:
        """See `Interests`."""
        place = np.zeros(self.n_items, dtype=np.int32)
        place[rows] = np.arange(1, len(rows) + 1)
        found = place[self.entries.items]
        spoken = np.flatnonzero(found)
        speaker = np.repeat(np.arange(len(self.rows)), self.entries.counts)[spoken]
        summands = np.zeros((len(rows), len(self.rows)))
        voices = np.maximum(self.weights, 0.0)[speaker]
        summands[found[spoken] - 1, speaker] = self.entries.values[spoken] * voices
        return summands


def interest_reasons(items: CurrentItems, rows: NDArray[np.int32], interests: Interests) -> list[str]:
    """Name for each recommended row of `rows` `(n,)` the item of the history that speaks most for it.

    Without an item that does (support above 0) the sentence claims nothing beyond the model.
    """
    newest = interests.rows
    if not len(newest):
        return [_MODEL] * len(rows)
    products = interests.support(rows)
    same = rows[:, None] == newest
    if np.count_nonzero(same):
        products[same] = -np.inf  # an item is no reason for itself
    nearest = newest[products.argmax(axis=1)].tolist()
    return [
        f"Because of your interest in {items.name(row)}" if product > 0 else _MODEL
        for row, product in zip(nearest, products.max(axis=1).tolist(), strict=True)
    ]


def popularity_reason(items: CurrentItems, row: int) -> str:
    """Say where the item is popular: in the upper half of its category or of the shop; else only that it is there."""
    catalogue = items.catalogue
    if row >= items.release_size:
        return "New in this shop"
    category = items.card(row).category
    if category is not None and catalogue.popular_in_category[row] and not items.is_changed(row):
        return f"Popular in {category.strip()[:_MAX_CATEGORY]}"
    return "Popular in this shop" if catalogue.popular_overall[row] else "Available in this shop"


def similarity_reason(items: CurrentItems, row: int) -> str:
    """Name the item that the answer's items are similar to."""
    return f"Similar to {items.name(row)}"


_MAX_CATEGORY = 200
_MODEL = "Recommended for you"
