"""More users or items than a model has room for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from recsaas_assets.recommender.data.dataset import build_training_set
from recsaas_assets.recommender.fitting.capacity import Fitting, Room, most_active

START = datetime(2026, 1, 1, tzinfo=UTC)
CATALOGUE = pl.Series("item_id", ["a", "b", "never"])


def signals() -> pl.DataFrame:
    """`u0` has one interaction, `u1` two, and so on; item `a` is everybody's, the others are one user's each."""
    rows = [
        (f"u{user}", "a" if n == 0 else f"i{user}-{n}", START + timedelta(hours=user * 10 + n), "view", 1.0)
        for user in range(5)
        for n in range(user + 1)
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "interaction_type", "signal"], orient="row")


def features(column: str, *more: str) -> pl.LazyFrame:
    """What dbt says of the activity; `more` are ids without any."""
    newest = pl.col("timestamp").max()
    known = signals().group_by(column).agg(interaction_count=pl.len().cast(pl.Int64), last=newest)
    age = (START + timedelta(days=9) - pl.col("last")).dt.total_days().alias("days_since_last_interaction")
    without = pl.DataFrame({column: list(more)}, schema={column: pl.String})
    return (
        pl.concat([known.select(column, "interaction_count", age), without], how="diagonal")
        .with_columns(pl.col("interaction_count").fill_null(0))
        .lazy()
    )


def fitted(room: Room) -> Fitting:
    users, items = features("user_id", "idle-1", "idle-2"), features("item_id", "b", "never")
    return most_active(signals().lazy(), CATALOGUE, room=room, users=users, items=items)


def test_a_tenant_with_room_keeps_everything() -> None:
    room = Room(users=5, items=13)
    fitting = fitted(room)
    assert (fitting.users_left_out, fitting.items_left_out) == (0, 0)
    assert fitting.signals.collect().equals(signals())
    assert fitting.catalogue_item_ids.equals(CATALOGUE)
    assert room.holds(features("user_id", "idle-1"), features("item_id", "b", "never"))


def test_the_most_active_users_and_items_are_kept() -> None:
    fitting = fitted(Room(users=2, items=1))
    assert (fitting.users_left_out, fitting.items_left_out) == (3, 12)
    assert fitting.catalogue_item_ids.to_list() == ["a"]
    built = build_training_set(fitting.signals, fitting.catalogue_item_ids, 10)
    assert (built.users.ids, built.items.ids) == (("u3", "u4"), ("a",))


@pytest.mark.parametrize("room", [Room(users=4, items=13), Room(users=5, items=12)])
def test_one_too_many_is_too_many(room: Room) -> None:
    assert not room.holds(features("user_id"), features("item_id", "b", "never"))


def test_a_lazy_frame_gives_the_same_training_set() -> None:
    assert build_training_set(signals().lazy(), CATALOGUE, 10).fingerprint == (
        build_training_set(signals(), CATALOGUE, 10).fingerprint
    )
