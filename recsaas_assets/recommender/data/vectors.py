"""The vectors of a fitted model, whatever its type."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from recsaas_assets.recommender.data.arrays import Vectors
from resources.base.errors import InvalidInput


class Diverged(InvalidInput):
    """A fit ended with vectors that are not finite."""

    code = "training_diverged"


@dataclass(frozen=True, eq=False)
class ModelVectors:
    """All float32; d is the stored dimension, t ≤ d the leading coordinates that were learned.

    Attributes:
        users: (n_users, d), and
        items: (n_items, d): their plain inner product is the score.
        fold_in: (n_items, t), what one event with an item adds to the vector of a user the fit has not seen; the sum
            over the events, each times its weight, is normalised to length 1 (see `fold_in.py`).
        start_users: (n_users, t), and
        start_items: (n_items, t): the parameters, from which a later fit may start.
    """

    users: Vectors
    items: Vectors
    fold_in: Vectors
    start_users: Vectors
    start_items: Vectors

    OF_USERS: ClassVar[frozenset[str]] = frozenset({"users", "start_users"})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def nothing(cls, n_users: int, n_items: int, *, dim: int, learned_dim: int) -> ModelVectors:
        """Zeros: what is known before there is anything to fit on."""

        def zeros(name: str) -> Vectors:
            width = dim if name in ("users", "items") else learned_dim
            return np.zeros((n_users if name in cls.OF_USERS else n_items, width), dtype=np.float32)

        return cls(**{name: zeros(name) for name in cls.names()})

    def require_finite(self) -> None:
        """Raise Diverged when a value is not finite: such vectors rank nothing."""
        for name in self.names():
            if not np.isfinite(getattr(self, name)).all():
                raise Diverged(
                    f"The fit ended with {name} that are not finite. Lower learning_rate or raise temperature "
                    "(recsaas tenant settings TENANT --set training.hyperparameters.learning_rate=…), then run again."
                )
