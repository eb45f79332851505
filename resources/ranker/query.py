"""What is asked of the ranker, and what the user in question has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import FieldProblem, InvalidInput
from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import RankRules

NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `Ranker.recommend` that decide which list a user gets; count and offset only cut it.

    Raises:
        InvalidInput: `diversity` is not within 0–1, or `max_per_category` is below 1.
    """

    user_id: str | None = None
    filters: Filters = NO_FILTERS
    exclude_seen: bool = True
    live_items: Sequence[str] = ()
    live_weights: Sequence[float] | None = None
    recompute: bool = True
    diversity: float | None = None
    max_per_category: int | None = None
    overlay: ItemOverlay | None = None
    rules: RankRules | None = None

    def __post_init__(self) -> None:
        if self.diversity is not None and not 0 <= self.diversity <= 1:
            problem = "must be between 0 and 1"
            raise InvalidInput(f"diversity {problem}.", details=(FieldProblem("diversity", problem),))
        if self.max_per_category is not None:
            require_at_least(1, max_per_category=self.max_per_category)


@dataclass(frozen=True, slots=True)
class Events:
    """What a user has done, by item row.

    Attributes:
        before: int32, what the release knows of, most recent last.
        live: int32, one row an event since then, most recent last.
        weights: float64, one for each of them; below 0 speaks against the item.
        disliked: int32, what the user does not like, by the release or by the events since.
    """

    before: NDArray[np.int32]
    live: NDArray[np.int32]
    weights: NDArray[np.float64]
    disliked: NDArray[np.int32]

    @property
    def history(self) -> NDArray[np.int32]:
        """Every item that the user did something with, most recent last."""
        return np.concatenate([self.before, self.live]) if len(self.live) else self.before

    @property
    def seen(self) -> NDArray[np.int32]:
        """What the user is not to be shown again."""
        return np.concatenate([self.history, self.disliked])


def require_at_least(least: int, **numbers: int) -> None:
    """Refuse a number that is too small.

    Raises:
        InvalidInput: names the first one that is.
    """
    for name, number in numbers.items():
        if number < least:
            problem = f"must be at least {least}"
            raise InvalidInput(f"{name} {problem}.", details=(FieldProblem(name, problem),))
