"""Why an item is in an answer, in one sentence that is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resources.release.catalogue import Catalogue

_HISTORY_LIMIT = 200


def interest_reasons(
    catalogue: Catalogue, vectors: NDArray[np.float32], rows: NDArray[np.int32], history: NDArray[np.int32]
) -> list[str]:
    """Name for each recommended row the item of the history with the greatest inner product to it.

    Only the newest 200 items of the history are looked at. Without an item that speaks for the recommendation (product
    above 0) the sentence claims nothing beyond the model.
    """
    newest = history[-_HISTORY_LIMIT:]
    if not len(newest):
        return [_MODEL] * len(rows)
    products = vectors[rows] @ vectors[newest].T
    products[rows[:, None] == newest[None, :]] = -np.inf  # an item is no reason for itself
    nearest = products.argmax(axis=1)
    strength = products[np.arange(len(rows)), nearest].tolist()
    return [
        f"Because of your interest in {_name(catalogue, row)}" if product > 0 else _MODEL
        for row, product in zip(newest[nearest].tolist(), strength, strict=True)
    ]


def popularity_reason(catalogue: Catalogue, row: int) -> str:
    """Say where the item is popular: in the upper half of its category or of the shop; else only that it is there."""
    category = catalogue.card(row).category
    if category is not None and catalogue.popular_in_category[row]:
        return f"Popular in {category.strip()}"
    return "Popular in this shop" if catalogue.popular_overall[row] else "Available in this shop"


def similarity_reason(catalogue: Catalogue, row: int) -> str:
    """Name the item that the answer's items are similar to."""
    return f"Similar to {_name(catalogue, row)}"


def _name(catalogue: Catalogue, row: int) -> str:
    card = catalogue.card(row)
    return card.title or card.item_id


_MODEL = "Recommended for you"
