"""Why an item is in an answer, in one sentence that is true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from resources.ranker.eligibility.current_items import CurrentItems

HISTORY_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Interests:
    """The support of a user's items for an item: that of item j for item i is weight_j · voice_j · vector_i.

    For a user vector made from events at answer time, with `fold_in` as voices, these products add up to the item's own
    product, so the greatest is what contributed most. (In a recomputed one the trained vector stands for the sum over
    the history.) A trained vector does not come apart like this: there the voices are the item vectors, and the
    greatest product belongs to the item most like it.

    Attributes:
        rows: `(n,)` int32 of the user's items, most recent last; only the newest 200 are looked at.
        voices: `(n_items, t)`.
        weights: `(n,)`; `None` is 1 each.
    """

    rows: NDArray[np.int32]
    voices: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None

    def without(self, *unsaid: NDArray[np.int32]) -> Interests:
        """Return the interests without these rows: items that a shop has taken back are not named."""
        closed = [rows for rows in unsaid if len(rows)]
        if not closed:
            return self
        kept = ~np.isin(self.rows, np.concatenate(closed))
        return Interests(self.rows[kept], self.voices, None if self.weights is None else self.weights[kept])


def interest_reasons(
    items: CurrentItems, vectors: NDArray[np.float32], rows: NDArray[np.int32], interests: Interests
) -> list[str]:
    """Name for each recommended row of `rows` `(n,)` the item of the history that speaks most for it.

    Without an item that does (product above 0) the sentence claims nothing beyond the model. `vectors` are
    `(n_items, d)`.
    """
    newest = interests.rows[-HISTORY_LIMIT:]
    if not len(newest):
        return [_MODEL] * len(rows)
    products = vectors[rows] @ interests.voices[newest].T
    if interests.weights is not None:
        products *= interests.weights[-HISTORY_LIMIT:]
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
        return _NEW
    category = items.card(row).category
    if category is not None and catalogue.popular_in_category[row] and not items.is_changed(row):
        return f"Popular in {category.strip()[:_MAX_CATEGORY]}"
    return "Popular in this shop" if catalogue.popular_overall[row] else "Available in this shop"


def listing_reason(items: CurrentItems, row: int) -> str:
    """Say since when the item is in the shop; "new" when it came at most 30 days before the newest of the release."""
    if row >= items.release_size:
        return _NEW
    listed = items.catalogue.listed_at
    if listed[row] >= np.nanmax(listed) - _NEW_DAYS:
        return _NEW
    return f"In this shop since {date(1970, 1, 1) + timedelta(days=int(listed[row])):%Y-%m-%d}"


def similarity_reason(items: CurrentItems, row: int) -> str:
    """Name the item that the answer's items are similar to."""
    return f"Similar to {items.name(row)}"


_MAX_CATEGORY = 200
_MODEL = "Recommended for you"
_NEW = "New in this shop"
_NEW_DAYS = 30
