"""From dbt features to the two arrays that the second stage reads, while training and while answering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.data.arrays import Floats
from recsaas_assets.recommender.data.feature_tables import Features, FeatureTable
from resources.ranker.second_stage import CATEGORY, MISSING

_CATEGORY_COLUMNS = "category="
_FAVOURITE_COLUMNS = "favourite_category="


@dataclass(frozen=True, eq=False)
class Sides:
    """Features of users (n_users, fu) and items (n_items, fi), float32 and finite, with the names of the columns."""

    users: Floats
    items: Floats
    user_names: tuple[str, ...]
    item_names: tuple[str, ...]

    @classmethod
    def of(cls, features: Features) -> Sides:
        """A missing feature becomes `MISSING`; the columns of zeros and ones for categories become one number."""
        users, items = features.users, features.items
        kept_users = [n for n, name in enumerate(users.names) if not name.startswith(_FAVOURITE_COLUMNS)]
        kept_items = [n for n, name in enumerate(items.names) if not name.startswith(_CATEGORY_COLUMNS)]
        return cls(
            users=_finite(users.values[:, kept_users]),
            items=_finite(np.column_stack([items.values[:, kept_items], _category(items)])),
            user_names=tuple(users.names[n] for n in kept_users),
            item_names=(*(items.names[n] for n in kept_items), CATEGORY),
        )


def _category(items: FeatureTable) -> Floats:
    """Number of each item's category, shape (n_items,); missing for an item without one of the frequent ones."""
    columns = [n for n, name in enumerate(items.names) if name.startswith(_CATEGORY_COLUMNS)]
    if not columns:
        return np.full(len(items.values), MISSING, dtype=np.float32)
    marks = items.values[:, columns] == 1
    return np.where(marks.any(axis=1), marks.argmax(axis=1), MISSING).astype(np.float32)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, MISSING).astype(np.float32)
