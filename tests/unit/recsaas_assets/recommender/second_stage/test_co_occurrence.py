from __future__ import annotations

import numpy as np
import pytest

import recsaas_assets.recommender.second_stage.co_occurrence as module
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.second_stage.co_occurrence import best_half_life, co_occurrence
from resources.release.item_table import ItemTable


def dense(table: ItemTable) -> np.ndarray:
    table.check()
    return np.stack([table.sums(np.array([row], np.int32)) for row in range(table.n_items)])


def test_without_a_half_life_it_is_the_cosine() -> None:
    pairs = Pairs.of([0, 0, 1, 1, 2], [0, 1, 0, 1, 1], age_days=[90, 80, 70, 60, 0])

    found = dense(co_occurrence(pairs, 3, 3, half_life=None))

    assert found == pytest.approx(np.array([[0, 2 / np.sqrt(6), 0], [2 / np.sqrt(6), 0, 0], [0, 0, 0]]))


def test_a_half_life_weighs_what_was_taken_lately() -> None:
    # Who has item 0 took item 1 lately and item 2 long ago.
    pairs = Pairs.of([0, 0, 1, 1], [0, 1, 0, 2], age_days=[0, 0, 0, 40])

    found = dense(co_occurrence(pairs, 2, 3, half_life=20.0))[0]

    assert found == pytest.approx([0, 1 / np.sqrt(2), 0.25 / np.sqrt(2 * 0.25)])


def test_a_row_holds_the_best_fifty_and_only_the_newest_items_of_a_user_count() -> None:
    many = Pairs.of(np.zeros(300), np.arange(300), age_days=np.arange(300))

    table = co_occurrence(many, 1, 300, half_life=20.0)

    assert np.diff(table.indptr).tolist() == [50] * 200 + [0] * 100
    assert table.row(0)[0].tolist() == list(range(1, 51))
    assert all((np.diff(table.row(row)[0]) > 0).all() for row in range(200))


def test_the_half_life_is_the_one_that_finds_what_came_later() -> None:
    rng = np.random.default_rng(2)
    n_users, n_items = 300, 200
    # With item 0 people took items 1–99 long ago and take items 100–199 now: more were taken than a row holds.
    users = np.repeat(np.arange(n_users), 5)
    old = users % 2 == 0
    items = np.where(old, rng.integers(1, 100, len(users)), rng.integers(100, 200, len(users)))
    first = np.arange(n_users)
    history = Pairs.of(
        [*users, *first], [*items, *np.zeros(n_users)], age_days=[*np.where(old, 300.0, 0), *(first * 0)]
    )
    now = Holdout(history, Pairs.of(first, rng.integers(100, 200, n_users)), n_users, n_items)
    always = Holdout(history, Pairs.of(first, rng.integers(1, 100, n_users)), n_users, n_items)

    assert best_half_life(now, seed=1) is not None
    assert best_half_life(always, seed=1) is None
    assert best_half_life(now, seed=1) == best_half_life(now, seed=1)


def test_where_nobody_came_back_nothing_fades() -> None:
    history = Pairs.of([0, 1], [0, 1])

    assert best_half_life(Holdout(history, Pairs.empty(), 2, 2), seed=1) is None


def test_blocks_and_a_share_of_the_users_change_nothing_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    pairs = Pairs.of(rng.integers(0, 40, 600), rng.integers(0, 30, 600), age_days=rng.integers(0, 90, 600))
    whole = co_occurrence(pairs, 40, 30, half_life=20.0)
    monkeypatch.setattr(module, "_BLOCK_CELLS", 7 * 30)

    in_blocks = co_occurrence(pairs, 40, 30, half_life=20.0)

    assert all(np.array_equal(whole.arrays[name], in_blocks.arrays[name]) for name in whole.arrays)
    monkeypatch.setattr(module, "_MOST_PAIRS", 200)
    holdout = Holdout(pairs, Pairs.of(np.arange(40), rng.integers(0, 30, 40)), 40, 30)
    assert best_half_life(holdout, seed=1) in module.HALF_LIVES
