"""Features of users and items, from the pairs of a fit and from the catalogue, as the second stage reads them.

They are made of what the fit has seen and nothing else, so they cost no build of the past, and cannot know the future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsaas_assets.recommender.data.arrays import Floats, Rows, Values
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from resources.ranker.second_stage.candidate_features import CATEGORY, MISSING, PRICE, USUAL_PRICE

_HALF_LIVES = 3.0, 14.0, 60.0
"""Of popularity, in days."""
_LARGEST = 1e18


@dataclass(frozen=True, eq=False)
class CatalogueFacts:
    """What the catalogue says of the items, (n_items,) float32 each; `MISSING` where it says nothing.

    ``category`` is a number: 0 for the category with the most items, and so on. The catalogue is today's at every time
    of the split, because shops seldom send its history.
    """

    category: Floats
    price: Floats

    @classmethod
    def of(cls, catalogue: pl.DataFrame, items: IdMap) -> CatalogueFacts:
        """From a frame item_id, category, price, with one row per item; items that it lacks have neither."""
        wanted = pl.DataFrame({"item_id": pl.Series(items.ids, dtype=pl.String)})
        frame = wanted.join(
            catalogue.select("item_id", "category", "price"), on="item_id", how="left", maintain_order="left"
        )
        counts = frame.drop_nulls("category").group_by("category").len()
        ordered = counts.sort("len", "category", descending=[True, False])
        numbered = ordered.select("category", number=pl.int_range(pl.len()).cast(pl.Float32))
        numbers = frame.join(numbered, on="category", how="left", maintain_order="left")["number"]
        price = frame["price"].cast(pl.Float64).clip(0, _LARGEST)
        return cls(*(_finite(column.fill_null(MISSING).to_numpy()) for column in (numbers, price)))


@dataclass(frozen=True, eq=False)
class Sides:
    """Features of users (n_users, fu) and items (n_items, fi), float32 and finite, with the names of the columns."""

    users: Floats
    items: Floats
    user_names: tuple[str, ...]
    item_names: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Pairs, catalogue: CatalogueFacts, *, n_users: int) -> Sides:
        """Count and date the pairs, by user and by item; days are counted back from the latest pair."""
        items = _of_items(pairs, catalogue)
        users = _of_users(pairs, catalogue, items["users"], n_users)
        return cls(
            users=_finite(np.column_stack([*users.values()])),
            items=_finite(np.column_stack([*items.values()])),
            user_names=tuple(users),
            item_names=tuple(items),
        )


def _of_items(pairs: Pairs, catalogue: CatalogueFacts) -> dict[str, npt.NDArray[Any]]:
    rows, age, n_items = pairs.item_row, pairs.age_days.astype(np.float64), len(catalogue.price)
    users = np.bincount(rows, minlength=n_items)
    short, middle, long = (np.log1p(np.bincount(rows, 0.5 ** (age / life), n_items)) for life in _HALF_LIVES)
    first, last = _first_and_last(rows, age, n_items)
    return {
        "users": users,
        "mean_weight": _mean(rows, pairs.weight, n_items),
        "popularity_short": short,
        "popularity_middle": middle,
        "popularity_long": long,
        "trend_short": short - middle,
        "trend_long": middle - long,
        "days_since_last": last,
        "days_since_first": first,
        PRICE: catalogue.price,
        CATEGORY: catalogue.category,
    }


def _of_users(
    pairs: Pairs, catalogue: CatalogueFacts, users_per_item: Values, n_users: int
) -> dict[str, npt.NDArray[Any]]:
    rows, age = pairs.user_row, pairs.age_days.astype(np.float64)
    first, last = _first_and_last(rows, age, n_users)
    prices = catalogue.price[pairs.item_row]
    priced = prices >= 0
    return {
        "items": np.bincount(rows, minlength=n_users),
        "mean_popularity": _mean(rows, np.log1p(users_per_item)[pairs.item_row], n_users),
        "days_since_last": last,
        "days_since_first": first,
        USUAL_PRICE: _mean(rows[priced], prices[priced], n_users),
    }


def _first_and_last(rows: Rows, age: Values, n: int) -> tuple[Values, Values]:
    """The greatest and the least age of each row, (n,) each; `MISSING` for a row without any."""
    first, last = np.full(n, MISSING), np.full(n, np.inf)
    np.maximum.at(first, rows, age)
    np.minimum.at(last, rows, age)
    return first, np.where(np.isinf(last), MISSING, last)


def _mean(rows: Rows, values: npt.NDArray[Any], n: int) -> Values:
    """Mean of the values of each row, (n,); `MISSING` for a row without any."""
    counts = np.bincount(rows, minlength=n)
    return np.where(counts > 0, np.bincount(rows, values, n) / np.maximum(counts, 1), MISSING)


def _finite(values: npt.NDArray[Any]) -> Floats:
    return np.where(np.isfinite(values), values, MISSING).astype(np.float32)
