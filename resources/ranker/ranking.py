"""Answers of the ranker, and how an inner product becomes a score between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resources.release.catalogue import ItemCard

ItemSource = Literal["model", "fold_in", "content", "popular", "trending", "pinned"]
"""How an item came into an answer:

- `model`: ranked for a user that the model was trained with, or like an item that it was trained with
- `fold_in`: ranked for a new user, by a vector from the events so far
- `content`: ranked by a vector from what the catalogue says of the item (or of the one it is like), as nobody had
  interacted with it yet
- `popular`: filled up from the most popular items
- `trending`: for a visitor without any event, an item whose interactions grow
- `pinned`: put first by a rule of the shop
"""
Fallback = Literal[
    "unknown_user",
    "user_without_vector",
    "item_without_vector",
    "popularity_release",
    "no_model_item",
    "second_stage_unavailable",
    "all_seen",
    "no_matching_item",
]
"""Why an answer is not what the release would give at its best:

- `unknown_user`: no user was named, or the release does not know this one, and no event of theirs says anything
- `user_without_vector`, `item_without_vector`: known, but not to the model
- `popularity_release`: the release serves popularity for everybody
- `no_model_item`: no unseen item that passes the filters has a vector
- `second_stage_unavailable`: this service cannot use the release's second stage, so the items are in the order of
  the retrieval (degraded)
- `all_seen`: the user has seen every item that passes the filters, so seen items are shown again (degraded)
- `no_matching_item`: no item passes the filters; the only reason for an empty answer
"""

_STEEPNESS = 4.0
_THREE_QUARTERS = 4.0


class RankedItem(NamedTuple):
    """One item of an answer. `score` is 0–1 and never rises with `rank`, which counts from 1.

    `card` is the same object in every answer until the item, or the release, changes.
    """

    card: ItemCard
    score: float
    rank: int
    source: ItemSource
    reason: str | None

    @property
    def item_id(self) -> str:
        """The shop's id of the item."""
        return self.card.item_id

    @property
    def title(self) -> str | None:
        """The name of the item."""
        return self.card.title

    @property
    def category(self) -> str | None:
        """The category as the catalogue writes it."""
        return self.card.category

    @property
    def brand(self) -> str | None:
        """The brand as the catalogue writes it."""
        return self.card.brand

    @property
    def price(self) -> float | None:
        """The price in the shop's currency."""
        return self.card.price

    @property
    def image_url(self) -> str | None:
        """Where the picture is."""
        return self.card.image_url


@dataclass(frozen=True, slots=True)
class Ranking:
    """An answer. `algorithm` is what ranked its first item: the release's, or "popularity"."""

    items: tuple[RankedItem, ...]
    algorithm: str
    degraded: bool = False
    fallback_reason: Fallback | None = None


PlaceState = Literal["ranked", "seen", "filtered", "unavailable", "unknown"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one item is in a user's whole list, or why it is not in it.

    Attributes:
        state: `unknown`: neither the release nor a change since knows the item; `unavailable`: it is deleted, not in
            the catalogue, or not available; `filtered`: a filter, a rule or a limit of the request leaves it out;
            `seen`: the user has seen it, or dislikes it.
        detail: the same in a sentence.
        item: with its rank, score and source; only for `ranked`.
    """

    state: PlaceState
    detail: str
    item: RankedItem | None = None


def model_scores(products: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Map inner products `(n,)` to 0–1: logistic of 4 · product / scale.

    `scale` is the norm of the user's vector times the root mean square norm of the item vectors, so that the argument
    is near 4 · cosine, and 0.5 says "neither for nor against". Monotone, so that it keeps the ranking.
    """
    if scale <= 0:
        return np.full(len(products), 0.5)
    exponent = np.maximum(products * (-_STEEPNESS / scale), -500)
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(exponent, 500))))


def table_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map standardised scores `(n,)` of an item table to 0–1: (1 + z / (|z| + 4)) / 2, so 0 is ½ and 4 is ¾.

    Monotone, and without an end that it reaches: the best of a thousand items are ten standard deviations above the
    mean, where a logistic would say 1 of all of them.
    """
    return (1.0 + scores / (np.abs(scores) + _THREE_QUARTERS)) / 2.0


def cosine_scores(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map cosines `(n,)` to 0–1: (1 + cosine) / 2."""
    return np.clip((1.0 + cosines) / 2.0, 0.0, 1.0)
