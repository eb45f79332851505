"""The users and items that a model has room for: the most active ones of a tenant with more than a run can train on."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_ACTIVE = pl.col("interaction_count") > 0
_ACTIVITY = ("interaction_count", "days_since_last_interaction")


@dataclass(frozen=True, slots=True)
class Room:
    """The most users and items that a model is trained on."""

    users: int
    items: int

    def holds(self, users: pl.LazyFrame, items: pl.LazyFrame) -> bool:
        """Whether all users with interactions and all items fit, by `user_features` and `item_features`."""
        return _rows(users.filter(_ACTIVE)) <= self.users and _rows(items) <= self.items


@dataclass(frozen=True, eq=False)
class Fitting:
    """Signals and catalogue without what there is no room for, and how many users and items that is."""

    signals: pl.LazyFrame
    catalogue_item_ids: pl.Series
    users_left_out: int = 0
    items_left_out: int = 0


def most_active(
    signals: pl.LazyFrame,
    catalogue_item_ids: pl.Series,
    *,
    room: Room,
    users: pl.LazyFrame,
    items: pl.LazyFrame,
) -> Fitting:
    """Keep the users and items with the most interactions, of equally many the newest; most tenants keep all.

    A model holds a few vectors for each user and item, so a file with millions of invented ids would need more memory
    than there is. Those left out are served as new users are, and as items are that nobody has met.

    Args:
        signals: user_id, item_id and what else a training set needs.
        catalogue_item_ids: items that get a row, interacted or not.
        users: `user_features`; users without interactions are none of a model's.
        items: `item_features`, which has every item of signals and catalogue.
    """
    kept_users, users_left_out = _top(users.filter(_ACTIVE), "user_id", room.users)
    kept_items, items_left_out = _top(items, "item_id", room.items)
    if kept_users is not None:
        signals = signals.join(kept_users.lazy(), on="user_id", how="semi")
    if kept_items is not None:
        signals = signals.join(kept_items.lazy(), on="item_id", how="semi")
        catalogue_item_ids = catalogue_item_ids.filter(catalogue_item_ids.is_in(kept_items["item_id"].implode()))
    return Fitting(signals, catalogue_item_ids, users_left_out, items_left_out)


def _top(features: pl.LazyFrame, column: str, most: int) -> tuple[pl.DataFrame | None, int]:
    """Return the ids to keep, or None to keep all, and how many are left out."""
    count = _rows(features)
    if count <= most:
        return None, 0
    rows = features.select(column, *_ACTIVITY).collect(engine="streaming")
    order = rows.sort(*_ACTIVITY, column, descending=[True, False, False], nulls_last=True)
    return order.head(most).select(column), count - most


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect(engine="streaming").item())
