"""The first items that users touched in the test period, given to a model that is then to find the later ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.data.pairs import Pairs


def first_and_later(
    data: TrainingSet, signals: pl.DataFrame, pairs: Pairs, n: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first `n` of these pairs of each user in the test period, and those after them, both in the order of time.

    Users with no pair after the first `n` are left out. Columns: `user_row`, `item_row`, `timestamp` and others.
    """
    touched = (
        signals.filter(pl.col("timestamp") >= data.split.test_start)
        .group_by("user_id", "item_id")
        .agg(pl.col("timestamp").min())
    )
    ordered = (
        touched.with_columns(
            user_row=pl.Series(data.users.rows(touched["user_id"])),
            item_row=pl.Series(data.items.rows(touched["item_id"])),
        )
        .join(pairs.to_polars(), on=["user_row", "item_row"])
        .sort("user_row", "timestamp", "item_row")
        .with_columns(place=pl.int_range(pl.len()).over("user_row"), touched=pl.len().over("user_row"))
        .filter(pl.col("touched") > n)
    )
    return ordered.filter(pl.col("place") < n), ordered.filter(pl.col("place") >= n)
