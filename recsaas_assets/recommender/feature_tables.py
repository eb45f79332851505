"""dbt features as arrays in the rows of a training set, at the three times at which a model may look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Part = Literal["train", "before_test", "full"]
"""Parts of a training set that a model is fitted on."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """``values`` (n_rows, n_names) float32, one row per user or item row; NaN where a feature is missing."""

    names: tuple[str, ...]
    values: Floats


@dataclass(frozen=True, eq=False)
class Features:
    """What dbt knew about users and items at one time."""

    users: FeatureTable
    items: FeatureTable


@dataclass(frozen=True, eq=False)
class FeatureHistory:
    """Features without any row from ``validation_start`` on, from ``test_start`` on, and of all rows.

    They belong to the parts ``train``, ``before_test`` and ``full`` of the training set.
    """

    train: Features
    before_test: Features
    full: Features

    def of(self, part: Part) -> Features:
        """What a fit on this part may look at."""
        features: Features = getattr(self, part)
        return features
