"""Baskets: what a user did in one order or visit, as rows of items."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Mask, Rows
from recsaas_assets.recommender.data.id_map import IdMap
from resources.base.errors import InvalidInput

AWAY_MINUTES = 30
"""A visit without an id of the shop ends after so long a pause, as the dbt model `int_sessions` has it."""
_SESSION_MINUTES = 24 * 60
"""A shop may name a session by the device: an id that comes back after a day is another visit."""
MOST_ITEMS = 50
"""A larger basket says little of each pair in it (a stock order, a robot), and has the more pairs; it is left out."""
INTERACTION_COLUMNS = ("user_id", "item_id", "interaction_type", "timestamp", "quantity", "session_id")
"""What a basket needs of `stg_interactions`."""
_TYPES_WITH_PIECES = ("purchase", "add_to_cart")


@dataclass(frozen=True, slots=True, eq=False)
class Baskets:
    """Baskets by time, the oldest first; no item is twice in one.

    Attributes:
        basket: (n,) int32, rising: the basket of each entry.
        item_row: (n,) int32, rising within a basket.
        user_row: (m,) int32, whose basket.
        started_at: (m,) int64, microseconds since 1970 of the first line.
        n_items: how many items there are, in baskets or not.
        taken: (n,) bool, of visits: whether the item was taken, and not only looked at.
    """

    basket: Rows
    item_row: Rows
    user_row: Rows
    started_at: np.ndarray
    n_items: int
    taken: Mask

    def __len__(self) -> int:
        return len(self.user_row)

    @property
    def sizes(self) -> np.ndarray:
        """Different items of each basket, (m,) int64."""
        return np.bincount(self.basket, minlength=len(self))

    def matrix(self, *, taken: bool = False) -> sparse.csr_array:
        """Return the baskets as rows of ones, (m, n_items) float64; of what was `taken` alone if that is asked for."""
        indptr = np.concatenate([[0], np.cumsum(self.sizes)])
        values = self.taken.astype(np.float64) if taken else np.ones(len(self.item_row))
        matrix = sparse.csr_array((values, self.item_row, indptr), shape=(len(self), self.n_items))
        matrix.eliminate_zeros()
        return matrix

    def of(self, chosen: np.ndarray) -> Baskets:
        """Return the baskets where `chosen`, (m,) bool, is true."""
        entries = chosen[self.basket]
        numbers = np.cumsum(chosen) - 1
        return Baskets(
            numbers[self.basket[entries]].astype(np.int32),
            self.item_row[entries],
            self.user_row[chosen],
            self.started_at[chosen],
            self.n_items,
            self.taken[entries],
        )

    def usable(self) -> Baskets:
        """Return the baskets of two items to `MOST_ITEMS`."""
        sizes = self.sizes
        return self.of((sizes >= 2) & (sizes <= MOST_ITEMS))


def baskets_of(
    interactions: pl.DataFrame | pl.LazyFrame,
    types: Collection[str],
    users: IdMap,
    items: IdMap,
    *,
    taking: Collection[str] | None = None,
) -> Baskets:
    """Put the interactions of some types together to baskets, of the users and items that the maps know.

    One basket is what one user did in one session of the shop, with pauses of less than a day; without a session, with
    pauses of at most 30 minutes. Lines of one order have one time in most shops, so an order is one basket. What takes
    pieces back counts for nothing.

    Args:
        interactions: `INTERACTION_COLUMNS` of `stg_interactions`; quantity and session_id may be missing.
        taking: the types by which an item is `taken`; None is all of them.

    Raises:
        InvalidInput: a column is missing.
    """
    lines = _lines(interactions.lazy(), types, users, items, types if taking is None else taking)
    if not lines.height:
        nothing = np.empty(0, dtype=np.int32)
        return Baskets(nothing, nothing, nothing, np.empty(0, dtype=np.int64), len(items), nothing > 0)
    pause = pl.col("timestamp").diff()
    allowed = pl.when(pl.col("session_id").is_null()).then(AWAY_MINUTES).otherwise(_SESSION_MINUTES)
    starts = (
        (pl.col("user_row") != pl.col("user_row").shift())
        | pl.col("session_id").ne_missing(pl.col("session_id").shift())
        | (pause > pl.duration(minutes=allowed))
    )
    visit = starts.fill_null(value=True).cum_sum().alias("visit")
    entries = (
        lines.sort("user_row", "session_id", "timestamp", "item_row")
        .with_columns(visit)
        .with_columns(pl.col("timestamp").min().over("visit").alias("started_at"))
        .group_by("visit", "user_row", "started_at", "item_row")
        .agg(pl.col("taken").any())
        .sort("started_at", "user_row", "visit", "item_row")
    )
    first = entries["visit"] != entries["visit"].shift()
    new = first.fill_null(value=True).to_numpy()
    return Baskets(
        (np.cumsum(new) - 1).astype(np.int32),
        entries["item_row"].to_numpy(),
        entries["user_row"].to_numpy()[new],
        entries["started_at"].to_physical().to_numpy()[new].astype(np.int64),
        len(items),
        entries["taken"].to_numpy(),
    )


def _lines(
    frame: pl.LazyFrame, types: Collection[str], users: IdMap, items: IdMap, taking: Collection[str]
) -> pl.DataFrame:
    """The lines that count, as rows of the maps: user_row, item_row, timestamp, session_id, taken."""
    there = frame.collect_schema().names()
    if missing := [name for name in INTERACTION_COLUMNS[:4] if name not in there]:
        raise InvalidInput(f"The interactions have no column {missing[0]}; run the features of the tenant again.")
    optional = {"quantity": pl.Float64, "session_id": pl.String}
    frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in optional.items() if name not in there)
    takes_back = pl.col("interaction_type").is_in(_TYPES_WITH_PIECES) & (pl.col("quantity") <= 0)
    counted = frame.filter(pl.col("interaction_type").is_in(list(types)) & ~takes_back.fill_null(value=False))
    maps = [
        (users.to_polars(id_column="user_id", row_column="user_row"), "user_id"),
        (items.to_polars(id_column="item_id", row_column="item_row"), "item_id"),
    ]
    for table, column in maps:
        counted = counted.join(table.lazy(), on=column, how="inner")
    chosen = counted.select(
        "user_row",
        "item_row",
        pl.col("timestamp").cast(pl.Datetime("us", "UTC")),
        "session_id",
        pl.col("interaction_type").is_in(list(taking)).alias("taken"),
    )
    return chosen.collect(engine="streaming")
