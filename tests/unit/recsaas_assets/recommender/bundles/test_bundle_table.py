"""Planted complements are found, and planted substitutes, chance and a single user's habit are not."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency

from recsaas_assets.recommender.bundles import association
from recsaas_assets.recommender.bundles.association import associations
from recsaas_assets.recommender.bundles.baskets import MOST_ITEMS, baskets_of
from recsaas_assets.recommender.bundles.bundle_table import LEAST_BASKETS, build_bundles
from recsaas_assets.recommender.bundles.evidence import are_alternatives, log_likelihood_ratio
from recsaas_assets.recommender.data.id_map import IdMap
from resources.release.item_table import ItemTable
from tests.unit.recsaas_assets.recommender.bundles.planted import (
    CASE,
    ITEMS,
    LAMP_A,
    LAMP_B,
    OTHERS,
    PHONE,
    START,
    USERS,
    shop,
)


def pairs(table: ItemTable) -> set[tuple[str, str]]:
    return {(ITEMS.ids[row], ITEMS.ids[item]) for row in range(table.n_items) for item in table.row(row)[0].tolist()}


@pytest.mark.parametrize("seed", range(3))
def test_planted_complements_are_found_and_planted_substitutes_are_not(seed: int) -> None:
    data = shop(seed=seed)
    built = build_bundles(data, USERS, ITEMS)
    assert built.figures.evidence == "purchases"
    assert built.figures.pairs == len(built.table.items) == 2
    assert pairs(built.table) == {(PHONE, CASE), (CASE, PHONE)}
    # The substitutes are bought together more often than chance among all baskets has it: it takes the views to tell.
    assert (LAMP_A, LAMP_B) in pairs(build_bundles(shop(seed=seed, views=False), USERS, ITEMS).table)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_purchases_have_no_complements(seed: int) -> None:
    data = shop(seed=seed, views=False)
    shuffled = data.with_columns(data["item_id"].shuffle(seed=seed))
    assert not pairs(build_bundles(shuffled, USERS, ITEMS).table)


def test_the_order_of_the_lines_changes_nothing_and_twice_is_the_same() -> None:
    data = shop()
    first = build_bundles(data, USERS, ITEMS).table
    for again in (data, data.sample(fraction=1, shuffle=True, seed=1)):
        table = build_bundles(again, USERS, ITEMS).table
        for name, array in first.arrays.items():
            np.testing.assert_array_equal(array, table.arrays[name])


def test_blocks_of_items_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_bundles(shop(views=False), USERS, ITEMS).table
    monkeypatch.setattr(association, "_BLOCK_ENTRIES", 1)
    for name, array in build_bundles(shop(views=False), USERS, ITEMS).table.arrays.items():
        np.testing.assert_array_equal(array, whole.arrays[name])


def test_the_habit_of_one_user_is_nobody_elses_answer() -> None:
    mine = pl.DataFrame(
        [
            (user, item, "purchase", START + timedelta(days=day))
            for user, items in {"u000": (PHONE, LAMP_A), "u001": (CASE, LAMP_B), "u002": (CASE, LAMP_B)}.items()
            for day in range(30)
            for item in items
        ],
        schema=["user_id", "item_id", "interaction_type", "timestamp"],
        orient="row",
    )
    assert pairs(build_bundles(mine, USERS, ITEMS).table) == {(CASE, LAMP_B), (LAMP_B, CASE)}


def test_two_joint_baskets_say_nothing_and_the_value_is_the_cosine_of_the_baskets() -> None:
    lines = [
        (f"u{number:03d}", item, "purchase", START)
        for number in range(60)
        for item in ((PHONE, CASE) if number < 3 else (LAMP_A, LAMP_B) if number < 5 else OTHERS[number % 20 : 20][:2])
    ]
    frame = pl.DataFrame(lines, schema=["user_id", "item_id", "interaction_type", "timestamp"], orient="row")
    table = associations(baskets_of(frame, ("purchase",), USERS, ITEMS))
    assert not {LAMP_A, LAMP_B} & {item for pair in pairs(table) for item in pair}
    rows, values = table.row(ITEMS.ids.index(PHONE))
    assert [ITEMS.ids[row] for row in rows] == [CASE]
    np.testing.assert_allclose(values, [1.0])


def test_a_large_basket_counts_for_nothing() -> None:
    many = IdMap.from_ids(f"i{number:03d}" for number in range(MOST_ITEMS + 1))
    lines = [(user, item, "purchase", START) for user in USERS.ids[:5] for item in many.ids]
    frame = pl.DataFrame(lines, schema=["user_id", "item_id", "interaction_type", "timestamp"], orient="row")
    assert not len(build_bundles(frame, USERS, many).table.items)


def test_each_row_keeps_the_strongest() -> None:
    baskets = baskets_of(shop(views=False), ("purchase",), USERS, ITEMS)
    every, one = associations(baskets), associations(baskets, kept=1)
    for row in range(len(ITEMS)):
        rows, values = every.row(row)
        kept, value = one.row(row)
        assert kept.tolist() == ([rows[values.argmax()]] if len(rows) else [])
        assert value.tolist() == ([values.max()] if len(rows) else [])


def test_carts_count_where_there_are_few_purchases_and_views_never() -> None:
    data = shop(views=False)
    carts = data.with_columns(pl.lit("add_to_cart").alias("interaction_type"))
    assert build_bundles(carts, USERS, ITEMS).figures.evidence == "carts"
    liked = data.with_columns(pl.lit("like").alias("interaction_type"))
    assert build_bundles(liked, USERS, ITEMS).figures.evidence == "choices"
    looks = data.with_columns(pl.lit("view").alias("interaction_type"))
    built = build_bundles(looks, USERS, ITEMS)
    assert (built.figures.baskets, built.figures.pairs, len(built.table.items)) == (0, 0, 0)
    built.table.check()
    assert LEAST_BASKETS == 100


def test_the_ratio_is_that_of_the_contingency_table() -> None:
    cells = [(5, 20, 30, 400), (1, 1, 90, 100), (40, 40, 40, 60), (0, 10, 10, 50)]
    for both, first, second, baskets in cells:
        table = np.array([[both, first - both], [second - both, baskets - first - second + both]])
        kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        wanted = 0.0 if min(kept.shape) < 2 else chi2_contingency(kept, correction=False, lambda_="log-likelihood")[0]
        values = [np.array([float(each)]) for each in (both, first, second)]
        np.testing.assert_allclose(log_likelihood_ratio(*values, float(baskets)), [wanted], rtol=1e-9, atol=1e-9)


def test_alternatives_are_taken_together_less_often_than_by_chance_of_those_who_look_at_both() -> None:
    looked = np.array([100.0, 100.0, 100.0, 5.0])
    taken = np.array([1.0, 25.0, 18.0, 0.0])
    half = np.full(4, 0.5)
    assert are_alternatives(looked, taken, half, half).tolist() == [True, False, False, False]
