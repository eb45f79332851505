"""From dbt features to the two arrays that the second stage reads, while training and while answering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.arrays import Floats
from recsaas_assets.recommender.data.feature_tables import Features, FeatureTable
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from resources.ranker.second_stage.candidate_features import CATEGORY, MISSING, PRICE, USUAL_PRICE

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


@dataclass(frozen=True, eq=False)
class CatalogueFacts:
    """What the catalogue says of the items, (n_items,) each: ``category`` as a number, and ``price``; `MISSING`."""

    category: Floats
    price: Floats

    @classmethod
    def of(cls, catalogue: pl.DataFrame, items: IdMap) -> CatalogueFacts:
        """From a frame item_id, category, price; categories are numbered by how many items they have."""
        frame = pl.DataFrame({"item_id": pl.Series(items.ids, dtype=pl.String)}).join(
            catalogue.select("item_id", "category", "price"), on="item_id", how="left", maintain_order="left"
        )
        counts = frame.drop_nulls("category").group_by("category").len().sort("len", "category", descending=[True, False])
        numbered = counts.select("category", number=pl.int_range(pl.len()).cast(pl.Float32))
        numbers = frame.join(numbered, on="category", how="left", maintain_order="left")["number"]
        price = frame["price"].cast(pl.Float64).clip(0, 1e18).cast(pl.Float32)
        return cls(_finite(numbers.fill_null(MISSING).to_numpy()), _finite(price.fill_null(MISSING).to_numpy()))

    @classmethod
    def nothing(cls, n_items: int) -> CatalogueFacts:
        unknown = np.full(n_items, MISSING, dtype=np.float32)
        return cls(unknown, unknown)


HALF_LIVES = 3.0, 14.0, 60.0


def sides_of(pairs: Pairs, facts: CatalogueFacts, n_users: int) -> Sides:
    n_items = len(facts.price)
    users, items, age = pairs.user_row, pairs.item_row, pairs.age_days.astype(np.float64)
    def counted(rows, n, weights=None):
        return np.bincount(rows, weights, n)
    def extreme(rows, n, values, of):
        out = np.full(n, -np.inf if of is np.maximum else np.inf)
        of.at(out, rows, values)
        return np.where(np.isfinite(out), out, MISSING)
    popular = [np.log1p(counted(items, n_items, 0.5 ** (age / h))) for h in HALF_LIVES]
    taken = counted(items, n_items)
    item_columns = {
        "users": taken,
        "weight": counted(items, n_items, pairs.weight) / np.maximum(taken, 1),
        **{f"popularity_{h:g}_days": v for h, v in zip(HALF_LIVES, popular)},
        "trend": popular[0] - popular[1],
        "long_trend": popular[1] - popular[2],
        "days_since_last": extreme(items, n_items, age, np.minimum),
        "days_since_first": extreme(items, n_items, age, np.maximum),
        PRICE: facts.price,
        CATEGORY: facts.category,
    }
    had = counted(users, n_users)
    priced = facts.price[items] >= 0
    n_priced = counted(users[priced], n_users)
    mean_price = counted(users[priced], n_users, facts.price[items[priced]]) / np.maximum(n_priced, 1)
    user_columns = {
        "items": had,
        "days_since_last": extreme(users, n_users, age, np.minimum),
        "days_since_first": extreme(users, n_users, age, np.maximum),
        "usual_popularity": counted(users, n_users, np.log1p(taken)[items]) / np.maximum(had, 1),
        USUAL_PRICE: np.where(n_priced > 0, mean_price, MISSING),
    }
    return Sides(
        _finite(np.column_stack(list(user_columns.values()))), _finite(np.column_stack(list(item_columns.values()))),
        tuple(user_columns), tuple(item_columns),
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
