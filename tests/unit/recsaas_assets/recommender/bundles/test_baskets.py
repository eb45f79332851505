"""What makes one basket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from recsaas_assets.recommender.bundles.baskets import MOST_ITEMS, Baskets, baskets_of
from recsaas_assets.recommender.data.id_map import IdMap
from resources.base.errors import InvalidInput

USERS, ITEMS = IdMap.from_ids(["ana", "bo"]), IdMap.from_ids([f"i{number:03d}" for number in range(100)])
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def line(item: int, minutes: float = 0, **more: Any) -> dict[str, Any]:
    named = {"user_id": "ana", "interaction_type": "purchase", "quantity": None, "session_id": None}
    return {**named, "item_id": f"i{item:03d}", "timestamp": NOON + timedelta(minutes=minutes), **more}


def found(*lines: dict[str, Any], types: tuple[str, ...] = ("purchase",), **more: Any) -> list[list[int]]:
    return listed(baskets_of(frame(*lines), types, USERS, ITEMS, **more))


def frame(*lines: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema_overrides={"quantity": pl.Float64, "session_id": pl.String})


def listed(baskets: Baskets) -> list[list[int]]:
    return [baskets.item_row[baskets.basket == number].tolist() for number in range(len(baskets))]


def test_a_visit_ends_after_half_an_hour_away() -> None:
    assert found(line(1), line(2, 30), line(3, 61)) == [[1, 2], [3]]


def test_a_session_of_the_shop_is_one_basket_however_long_until_it_comes_back_a_day_later() -> None:
    assert found(line(1, session_id="s"), line(2, 300, session_id="s"), line(3, 2000, session_id="s")) == [[1, 2], [3]]
    assert found(line(1, session_id="s"), line(2, session_id="t"), line(3)) == [[3], [1], [2]]


def test_users_have_baskets_of_their_own() -> None:
    assert found(line(1), line(2, user_id="bo")) == [[1], [2]]


def test_an_item_counts_once_and_what_takes_pieces_back_not_at_all() -> None:
    assert found(line(2), line(2, 1), line(1, 2), line(3, quantity=-1.0), line(4, quantity=0.0)) == [[1, 2]]


def test_only_the_types_asked_for_count_and_only_what_the_maps_know() -> None:
    lines = line(1), line(2, interaction_type="view"), line(3, item_id="no such item"), line(4, user_id="nobody")
    assert found(*lines) == [[1]]
    visits = baskets_of(frame(*lines), ("view", "purchase"), USERS, ITEMS, taking=("purchase",))
    assert (listed(visits), visits.taken.tolist()) == ([[1, 2]], [True, False])
    assert visits.matrix().sum() == 2 and visits.matrix(taken=True).sum() == 1


def test_baskets_are_by_time_and_their_order_does_not_depend_on_that_of_the_lines() -> None:
    lines = [line(1, 300), line(2, 10, user_id="bo"), line(3), line(4, 1)]
    assert found(*lines) == found(*reversed(lines)) == [[3, 4], [2], [1]]


def test_baskets_of_one_item_or_of_too_many_are_not_usable() -> None:
    large = [line(item) for item in range(MOST_ITEMS + 1)]
    lines = [*large, line(1, 100), line(1, 200), line(2, 200)]
    assert listed(baskets_of(frame(*lines), ("purchase",), USERS, ITEMS).usable()) == [[1, 2]]
    assert [len(each) for each in found(*large[:-1])] == [MOST_ITEMS]


def test_columns_that_not_every_shop_has_may_be_missing() -> None:
    lines = frame(line(1), line(2)).drop("quantity", "session_id")
    assert listed(baskets_of(lines, ("purchase",), USERS, ITEMS)) == [[1, 2]]
    with pytest.raises(InvalidInput, match="timestamp"):
        baskets_of(lines.drop("timestamp"), ("purchase",), USERS, ITEMS)


def test_nothing_makes_no_basket() -> None:
    empty = baskets_of(frame(line(1)).clear(), ("purchase",), USERS, ITEMS)
    assert len(empty) == len(empty.usable()) == 0
    assert empty.matrix().shape == (0, 100)
