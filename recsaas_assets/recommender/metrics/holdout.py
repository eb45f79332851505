"""Holdouts: pairs that came later than everything it has seen, and its known users and items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Mask
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.exposure import head_items

MIN_USERS = 20
"""Below this many evaluated users a comparison says nothing."""
FEW = 5
"""Up to so many items before the holdout a user counts as one with a short history."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """``history`` is what a model may have seen, ``later`` what happened afterwards, in the same rows."""

    history: Pairs
    later: Pairs
    n_users: int
    n_items: int

    @classmethod
    def of_test(cls, training_set: TrainingSet) -> Holdout:
        """The test period, after everything before it."""
        return cls(training_set.before_test, training_set.test, training_set.n_users, training_set.n_items)

    @classmethod
    def since_live(cls, training_set: TrainingSet) -> Holdout:
        """The pairs that neither the live release nor a fit on ``before_live`` has seen."""
        return cls(training_set.before_live, training_set.since_live, training_set.n_users, training_set.n_items)

    @cached_property
    def users_per_item(self) -> npt.NDArray[np.int64]:
        """Distinct users of every item in the history, shape (n_items,)."""
        return self.history.users_per_item(self.n_items)

    @cached_property
    def items_per_user(self) -> npt.NDArray[np.int64]:
        """Distinct items of every user in the history, shape (n_users,)."""
        return self.history.items_per_user(self.n_users)

    @property
    def known_users(self) -> Mask:
        """Users with a history."""
        return self.items_per_user > 0

    @property
    def known_items(self) -> Mask:
        """Items with a history: the ones that may be ranked."""
        return self.users_per_item > 0

    @cached_property
    def head(self) -> Mask:
        """The fifth of the known items with the most users."""
        return head_items(self.users_per_item)

    @cached_property
    def seen(self) -> sparse.csr_array:
        """The history as a matrix (n_users, n_items)."""
        return self.history.csr(self.n_users, self.n_items)

    @cached_property
    def rankable(self) -> Pairs:
        """Later pairs of known users with known items, repeats included."""
        return self.later.of_users(self.known_users).of_items(self.known_items)

    @cached_property
    def targets(self) -> Pairs:
        """Later pairs of known users with known items they had not seen: what the main figures are about."""
        return self.rankable.without(self.history, self.n_items)

    @property
    def evaluated_users(self) -> int:
        """Users with a target."""
        return len(np.unique(self.targets.user_row))


def is_comparable(training_set: TrainingSet) -> bool:
    """Whether enough happened since the live release to measure it against a candidate."""
    return Holdout.since_live(training_set).evaluated_users >= MIN_USERS
