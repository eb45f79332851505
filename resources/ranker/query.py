"""The questions that the ranker answers, as values that an answer can be kept by, and what their user has done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import FieldProblem, InvalidInput
from resources.ranker.eligibility.filters import Filters
from resources.ranker.retrieval.repeats import RepeatItems

NO_FILTERS = Filters()
BOUGHT = ("purchase", "add_to_cart")
"""Interactions after which an item is not offered as one to buy again: it has been bought, or lies in the cart."""
Strategy = Literal["personal", "popular", "trending", "newest"]
"""What a list is made of: what suits the user; what most people want; what more people want than before; what came
last. The last three do not depend on the user, but for what is left out because it was seen."""


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """A question for a user's list. Two that are equal have one answer from one release, overlay and set of rules.

    Attributes:
        user_id: whose list; `None` for a visitor without an id.
        count: how many items; fewer are answered only when fewer pass the filters.
        exclude_seen: leave out what the user did something with; what they dislike is left out in any case. `None`: all
            but what the release has learned that they buy again, which comes with the source `repeat`; `False`: nothing
            is left out, and what is bought again has the place that was learned, too.
        recent_items: items of the user's interactions since the release, most recent last. They count as seen; a user
            without a vector gets one from them, and with `recompute` they move the vector of one who has one.
        recent_weights: of these interactions, `None` is 1 each. One below 0 speaks against its item.
        explain: say for each item why it is there.
        offset: leave out the first items of the same list; ranks count on.
        diversity: 0–1, see `resources.ranker.retrieval.diversity`.
        bought: items that the user bought since the release: they are not to be bought again yet.
        days: whole days since the newest interaction that the release knows, which repeats wait for.
        max_per_category: at most so many items of one category in the list; then fewer than `count` may be left.
        strategy: what the list is made of.

    Raises:
        InvalidInput: a number is out of its range.
    """

    user_id: str | None = None
    count: int = 10
    filters: Filters = NO_FILTERS
    exclude_seen: bool | None = True
    recent_items: tuple[str, ...] = ()
    recent_weights: tuple[float, ...] | None = None
    recompute: bool = True
    explain: bool = True
    offset: int = 0
    diversity: float | None = None
    max_per_category: int | None = None
    bought: tuple[str, ...] = ()
    days: int = 0
    strategy: Strategy = "personal"

    def __post_init__(self) -> None:
        _check(self.count, self.offset, self.diversity)
        if self.max_per_category is not None and self.max_per_category < 1:
            raise _out_of_range("max_per_category", "must be at least 1")


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """A question for the items like one item; `count`, `explain`, `offset` and `diversity` are as in `RankingQuery`.

    Attributes:
        item_id: never among its own similar items.
        seen: ids that are left out as long as any other item passes the filters.

    Raises:
        InvalidInput: a number is out of its range.
    """

    item_id: str
    count: int = 10
    filters: Filters = NO_FILTERS
    seen: tuple[str, ...] = ()
    explain: bool = True
    offset: int = 0
    diversity: float | None = None

    def __post_init__(self) -> None:
        _check(self.count, self.offset, self.diversity)


@dataclass(frozen=True, slots=True)
class BundleQuery:
    """A question for what goes with a basket; `count`, `explain` and `offset` are as in `RankingQuery`.

    Attributes:
        item_ids: in the basket, at least one; never in the answer. Two queries are equal only with one order of them.
        seen: ids that are left out as long as any other item passes the filters.

    Raises:
        InvalidInput: a number is out of its range, or the basket is empty.
    """

    item_ids: tuple[str, ...]
    count: int = 10
    filters: Filters = NO_FILTERS
    seen: tuple[str, ...] = ()
    explain: bool = True
    offset: int = 0

    def __post_init__(self) -> None:
        _check(self.count, self.offset, None)
        if not self.item_ids:
            raise _out_of_range("item_ids", "must have at least one item")


@dataclass(frozen=True, slots=True)
class UserHistory:
    """The interactions of one user, by item row.

    Attributes:
        before: `(n,)` int32, those that the release knows of, most recent last.
        recent: `(m,)` int32, one row for each interaction since then, most recent last.
        weights: `(m,)` float64, one for each recent one; below 0 speaks against the item.
        disliked: `(k,)` int32, what the user does not like, by the release or by recent interactions.
    """

    before: NDArray[np.int32]
    recent: NDArray[np.int32]
    weights: NDArray[np.float64]
    disliked: NDArray[np.int32]

    @property
    def items(self) -> NDArray[np.int32]:
        """Return `(n + m,)`: every item that the user did something with, most recent last."""
        return np.concatenate([self.before, self.recent]) if len(self.recent) else self.before

    @property
    def seen(self) -> NDArray[np.int32]:
        """Return `(n + m + k,)`: what the user is not to be shown again."""
        return np.concatenate([self.items, self.disliked])

    def left_out(self, exclude_seen: bool | None, again: RepeatItems | None) -> NDArray[np.int32]:
        """Return the rows `(l,)` that an answer leaves out, see `RankingQuery`; `again` may come."""
        if exclude_seen is False:
            return self.disliked
        return self.seen if again is None else self.seen[~np.isin(self.seen, again.rows)]


def _check(count: int, offset: int, diversity: float | None) -> None:
    if count < 1:
        raise _out_of_range("count", "must be at least 1")
    if offset < 0:
        raise _out_of_range("offset", "must be at least 0")
    if diversity is not None and not 0 <= diversity <= 1:
        raise _out_of_range("diversity", "must be between 0 and 1")


def _out_of_range(name: str, problem: str) -> InvalidInput:
    return InvalidInput(f"{name} {problem}.", details=(FieldProblem(name, problem),))
