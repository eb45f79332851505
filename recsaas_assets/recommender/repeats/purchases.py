"""What was bought when: the interactions that can be repeated, and what is known of each pair at a moment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.arrays import Mask, Rows, Values
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs

PURCHASE = "purchase"
_DAY = 86_400.0
_OF_NOTHING = 10.0
"""So many users or items of the shop's average are added to what is known of one, as a rate of two is none."""


@dataclass(frozen=True, eq=False)
class PairHistory:
    """Pairs bought before a moment, sorted by user row, then item row; all arrays are (n,), ages and gaps are in days.

    Attributes:
        times: different days on which the user bought the item.
        age: since the last of them.
        gap: the usual time between two of them: the pair's own gaps, and once more the item's usual one, which is the
            shop's where the item has none. At least a day.
        item_rate: share of the item's users who bought it on more than one day, with ten of the shop's average.
        user_rate: the same of the user's items.
        user_items: how many items the user bought.
        user_days: on how many days the user bought anything.
    """

    user_row: Rows
    item_row: Rows
    times: Values
    age: Values
    gap: Values
    item_rate: Values
    user_rate: Values
    user_items: Values
    user_days: Values

    def __len__(self) -> int:
        return len(self.user_row)

    def marked(self, marked: Mask) -> PairHistory:
        """The pairs that are marked, (n,)."""
        return PairHistory(*(getattr(self, each.name)[marked] for each in fields(self)))

    def keys(self, n_items: int) -> np.ndarray:
        """One number for each pair, (n,) int64, rising."""
        return self.user_row.astype(np.int64) * n_items + self.item_row


@dataclass(frozen=True, eq=False)
class Bought:
    """The interactions whose repetition means something, see `repeatable`.

    Attributes:
        rows: user_row, item_row, timestamp (UTC), day (days since 1970), sorted by the first three.
        purchases: whether they are purchases, and not any interaction that speaks for an item.
    """

    rows: pl.DataFrame
    purchases: bool

    def before(self, until: datetime) -> pl.DataFrame:
        """The rows of before a moment."""
        return self.rows.filter(pl.col("timestamp") < until)

    @property
    def end(self) -> datetime:
        """The first moment after all of them.

        Raises:
            ValueError: there is none.
        """
        newest = self.rows["timestamp"].max()
        if not isinstance(newest, datetime):
            raise ValueError("there are no interactions")
        return newest + timedelta(microseconds=1)


def repeatable(signals: pl.DataFrame | pl.LazyFrame, training_set: TrainingSet) -> Bought:
    """The purchases of a shop, or all interactions that speak for an item where there is no purchase.

    To look at an item again before one buys it is no repeat. Returned pieces and dislikes are none either.

    Args:
        signals: `int_interaction_signals`; users and items that the training set does not know are left out.
    """
    frame = signals.lazy().filter(pl.col("signal") > 0)
    if "pieces" in frame.collect_schema().names():
        frame = frame.filter(pl.col("pieces").fill_null(1) > 0)
    bought = frame.filter(pl.col("interaction_type") == PURCHASE)
    some = bought.select(pl.len()).collect(engine="streaming").item() > 0
    rows = (bought if some else frame).select("user_id", "item_id", "timestamp").collect(engine="streaming")
    known = (
        rows.select(
            pl.Series("user_row", training_set.users.rows(rows["user_id"])),
            pl.Series("item_row", training_set.items.rows(rows["item_id"])),
            "timestamp",
            day=pl.col("timestamp").dt.epoch("d"),
        )
        .filter((pl.col("user_row") >= 0) & (pl.col("item_row") >= 0))
        .sort("user_row", "item_row", "timestamp")
    )
    return Bought(known, some)


def histories_before(bought: Bought, pairs: Pairs, n_items: int, until: datetime) -> PairHistory:
    """What was known of the pairs at a moment.

    Args:
        bought: see `repeatable`; only what is earlier than `until` is looked at.
        pairs: those that count at that moment; one that was taken back, or is disliked, is none of them.
    """
    earlier = bought.before(until)
    found = earlier.group_by("user_row", "item_row").agg(
        times=pl.col("day").n_unique(),
        last=pl.col("timestamp").max(),
        span=pl.col("day").max() - pl.col("day").min(),
    )
    known = pl.Series(pairs.user_row.astype(np.int64) * n_items + pairs.item_row)
    key = pl.col("user_row").cast(pl.Int64) * n_items + pl.col("item_row")
    found = found.filter(key.is_in(known.implode())).sort("user_row", "item_row")
    again = found.filter(pl.col("times") > 1)
    usual = (again["span"] / (again["times"] - 1)).median()
    shop_gap = float(usual) if isinstance(usual, int | float) and usual > 0 else 1.0
    average = again.height / max(found.height, 1)
    twice = (pl.col("times") > 1).sum()
    gaps, count = pl.col("span").sum(), (pl.col("times") - 1).sum()
    rate = (twice + _OF_NOTHING * average) / (pl.len() + _OF_NOTHING)
    of_item = found.group_by("item_row").agg(
        item_rate=rate, item_gap=(gaps + _OF_NOTHING * shop_gap) / (count + _OF_NOTHING)
    )
    of_user = found.group_by("user_row").agg(user_rate=rate, user_items=pl.len())
    on_days = earlier.group_by("user_row").agg(user_days=pl.col("day").n_unique())
    table = (
        found.join(of_item, on="item_row", how="left")
        .join(of_user, on="user_row", how="left")
        .join(on_days, on="user_row", how="left")
        .sort("user_row", "item_row")
        .with_columns(
            age=(pl.lit(until) - pl.col("last")).dt.total_seconds() / _DAY,
            gap=((pl.col("span") + pl.col("item_gap")) / pl.col("times")).clip(lower_bound=1),
        )
    )
    figures = ("times", "age", "gap", "item_rate", "user_rate", "user_items", "user_days")
    return PairHistory(
        table["user_row"].to_numpy().astype(np.int32),
        table["item_row"].to_numpy().astype(np.int32),
        *(table[name].to_numpy().astype(np.float64) for name in figures),
    )


def bought_again(bought: Bought, history: PairHistory, n_items: int, start: datetime, end: datetime) -> Pairs:
    """The pairs of `history` that were bought from `start` on, and before `end`."""
    key = pl.col("user_row").cast(pl.Int64) * n_items + pl.col("item_row")
    later = bought.before(end).filter(pl.col("timestamp") >= start)
    again = later.filter(key.is_in(pl.Series(history.keys(n_items)).implode()))
    return Pairs.of(again["user_row"].to_numpy(), again["item_row"].to_numpy())


def usual_gap(bought: Bought, until: datetime) -> float:
    """The median number of days between two purchases of a pair, of those before a moment; at least 1."""
    days = bought.before(until).select("user_row", "item_row", "day").unique(maintain_order=True)
    same = (pl.col("user_row") == pl.col("user_row").shift()) & (pl.col("item_row") == pl.col("item_row").shift())
    middle = days.select(pl.col("day").diff().filter(same).cast(pl.Float64).median()).item()
    return max(float(middle or 1.0), 1.0)
