"""Windows over the users' items in the order of time."""

from __future__ import annotations

import numpy as np
import pytest

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.sequence.histories import Histories, WindowBatch

PADDING = 100


def histories(counts: list[int]) -> Histories:
    """User u has the items 0, 1, 2 … in this order, one a day; an item weighs as much as its row says."""
    users = np.repeat(np.arange(len(counts)), counts)
    items = np.concatenate([np.arange(count) for count in counts])
    ages = np.concatenate([np.arange(count, 0, -1) for count in counts])
    pairs = Pairs.of(users, items, age_days=ages)
    return Histories(pairs, len(counts), pairs.item_row.astype(np.float32), padding=PADDING)


def read(batches: list[WindowBatch]) -> list[tuple[int, int]]:
    """The item at each place that was read, with its target."""
    return [
        (int(batch.items[owner, place]), int(target))
        for batch in batches
        for owner, place, target in zip(batch.owner, batch.place, batch.targets, strict=True)
    ]


@pytest.mark.parametrize("length", [1, 3, 50])
def test_every_place_but_the_last_is_read_once_and_has_a_target_within_the_horizon(length: int) -> None:
    found = histories([1, 2, 9, 0, 30])
    rng = np.random.default_rng(0)
    for horizon in (1, 4):
        batches = list(found.batches(length, horizon, 12, rng))
        pairs = read(batches)
        assert sorted(item for item, _ in pairs) == sorted([*range(1), *range(8), *range(29)])
        assert all(item < target <= item + horizon for item, target in pairs)
        assert max(batch.items.shape[1] for batch in batches) <= length
        for batch in batches:
            assert (batch.weights == batch.targets).all()
            assert ((batch.items == PADDING).sum() + len(batch.owner)) == batch.items.numel()


def test_windows_start_elsewhere_in_each_pass() -> None:
    found, rng = histories([30]), np.random.default_rng(0)
    starts = {tuple(sorted(batch.items[:, 0].tolist())) for _ in range(20) for batch in found.batches(7, 1, 1000, rng)}
    assert len(starts) > 3


def test_the_newest_items_are_given_oldest_first() -> None:
    items, counts = histories([2, 5]).in_order(np.array([0, 1]), 3)
    assert items.tolist() == [[0, 1, PADDING], [2, 3, 4]]
    assert counts.tolist() == [2, 3]


def test_items_of_one_time_have_no_order_but_earlier_ones_stay_before_them() -> None:
    pairs = Pairs.of([0] * 5, [9, 8, 1, 2, 3], age_days=[5, 5, 0, 0, 0])
    found = Histories(pairs, 1, np.ones(5, np.float32), padding=PADDING)
    assert found.in_order(np.array([0]), 5)[0].tolist() == [[8, 9, 1, 2, 3]]
    rng = np.random.default_rng(0)
    orders = {tuple(batch.items[0].tolist()) for _ in range(50) for batch in found.batches(9, 1, 9, rng)}
    assert len(orders) == 12  # the last of five items is only a target
    assert all(set(order[:2]) == {8, 9} and set(order[2:]) < {1, 2, 3} for order in orders)


def test_without_two_items_of_one_user_there_is_nothing_to_predict() -> None:
    assert list(histories([1, 1, 0]).batches(5, 1, 9, np.random.default_rng(0))) == []
