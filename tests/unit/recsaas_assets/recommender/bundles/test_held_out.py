"""Hidden items of later baskets: what is asked, what counts as found, and that nothing later is learned from."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.bundles.baskets import Baskets, baskets_of
from recsaas_assets.recommender.bundles.bundle_table import build_bundles
from recsaas_assets.recommender.bundles.held_out import BasketQuestions, find_again, hide_one, time_cut
from tests.unit.recsaas_assets.recommender.bundles.planted import CASE, ITEMS, PHONE, START, USERS, shop

KNOWN = np.ones(len(ITEMS), dtype=np.bool_)


@pytest.fixture(scope="module")
def baskets() -> Baskets:
    return baskets_of(shop(), ("purchase",), USERS, ITEMS)


def test_later_baskets_lose_one_item_each(baskets: Baskets) -> None:
    since = time_cut(baskets, 0.8)
    usable = baskets.usable()
    assert 0.75 < np.mean(usable.started_at < since) <= 0.8
    questions = hide_one(baskets, since, KNOWN, seed=1)
    later = usable.of(usable.started_at >= since)
    whole = [later.item_row[later.basket == number].tolist() for number in range(len(later))]
    asked = [sorted([*given.tolist(), hidden]) for given, hidden in zip(questions.given, questions.hidden, strict=True)]
    assert asked == whole
    again, other = (hide_one(baskets, since, KNOWN, seed=seed) for seed in (1, 2))
    assert again.hidden.tolist() == questions.hidden.tolist() != other.hidden.tolist()


def test_items_that_nobody_knew_are_neither_asked_nor_given(baskets: Baskets) -> None:
    known = KNOWN.copy()
    known[ITEMS.ids.index(CASE)] = False
    questions = hide_one(baskets, 0, known, seed=1)
    assert not {ITEMS.ids.index(CASE)} & {*questions.hidden.tolist(), *np.concatenate(questions.given).tolist()}
    assert min(len(given) for given in questions.given) >= 1


def test_the_place_counts_without_the_basket_and_ties_go_to_the_lower_row() -> None:
    questions = BasketQuestions((np.array([0], np.int32), np.array([0], np.int32)), np.array([2, 9], np.int32))
    scores = np.array([9.0, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    found = find_again(questions, lambda rows: scores, np.ones(12, dtype=np.bool_), depth=8)
    assert found.recall.tolist() == [1, 0]
    np.testing.assert_allclose(found.ndcg, [1 / np.log2(3), 0])
    unknown = np.ones(12, dtype=np.bool_)
    unknown[1] = False
    assert find_again(questions, lambda rows: scores, unknown).ndcg[0] == 1


def test_the_planted_complement_is_found_again_and_nothing_is_said_of_the_others(baskets: Baskets) -> None:
    since = time_cut(baskets, 0.8)
    before = shop().filter(pl.col("timestamp").dt.epoch("us") < since)
    table = build_bundles(before, USERS, ITEMS).table
    pair = {ITEMS.ids.index(PHONE), ITEMS.ids.index(CASE)}
    questions = hide_one(baskets, since, KNOWN, seed=1)
    asked = list(zip(questions.given, questions.hidden.tolist(), strict=True))
    chosen = [(given, hidden) for given, hidden in asked if hidden in pair and pair & {*given.tolist()}]
    assert len(chosen) > 10
    of_the_pair = BasketQuestions(tuple(given for given, _ in chosen), np.array([hidden for _, hidden in chosen]))
    assert find_again(of_the_pair, lambda rows: table.sums(rows), KNOWN, depth=1).recall.mean() == 1
    assert not any(table.sums(given).any() for given, _ in asked if not pair & {*given.tolist()})


def test_a_planted_later_basket_changes_nothing_that_was_learned_before() -> None:
    data = shop()
    cut = START + timedelta(days=200)
    later = pl.DataFrame(
        [(user, item, "purchase", cut + timedelta(days=1)) for user in USERS.ids for item in ITEMS.ids[:4]],
        schema=data.schema,
        orient="row",
    )
    learned = [
        build_bundles(each.filter(pl.col("timestamp") < cut), USERS, ITEMS).table
        for each in (data, pl.concat([data, later]))
    ]
    for name, array in learned[0].arrays.items():
        np.testing.assert_array_equal(array, learned[1].arrays[name])
