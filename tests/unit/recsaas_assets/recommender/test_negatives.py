"""Negatives: never a known pair, distributed as promised, the same for the same seed, down to the smallest shops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsaas_assets.recommender.data.alias import AliasTable
from recsaas_assets.recommender.data.known_pairs import KnownPairs
from recsaas_assets.recommender.data.negatives import Mode, UserNegatives
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import InvalidInput

MODES: tuple[Mode, ...] = ("uniform", "popularity")
by_mode = pytest.mark.parametrize("mode", MODES)


@st.composite
def shops(draw: st.DrawFn) -> tuple[Pairs, int, int]:
    """Any set of pairs, down to none, up to every user having everything."""
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    cells = draw(st.sets(st.integers(0, n_users * n_items - 1)))
    rows = np.array(sorted(cells), dtype=np.int32)
    return Pairs.of(rows // n_items, rows % n_items), n_users, n_items


@given(shops(), st.sampled_from(MODES), st.integers(1, 7), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_a_known_pair_is_never_drawn(shop: tuple[Pairs, int, int], mode: Mode, ratio: int, seed: int) -> None:
    pairs, n_users, n_items = shop
    sampler = UserNegatives.of(pairs, n_users, n_items, mode=mode)
    users = np.flatnonzero(~sampler.exhausted).astype(np.int32).repeat(5)
    drawn = sampler.draw(users, ratio, np.random.default_rng(seed))
    assert drawn.shape == (len(users), ratio)
    assert drawn.dtype == np.int32
    assert np.all((drawn >= 0) & (drawn < n_items))
    known = set(zip(pairs.user_row.tolist(), pairs.item_row.tolist(), strict=True))
    assert not known & {(int(u), int(i)) for u, row in zip(users, drawn, strict=True) for i in row}


def large_shop() -> tuple[Pairs, int, int]:
    rng = np.random.default_rng(4)
    n_users, n_items = 500, 300
    cells = np.unique(rng.integers(0, n_users * n_items, 20_000))
    return Pairs.of(cells // n_items, cells % n_items), n_users, n_items


@by_mode
def test_a_large_draw_with_threads_has_no_known_pair_either(mode: Mode) -> None:
    pairs, n_users, n_items = large_shop()
    sampler = UserNegatives.of(pairs, n_users, n_items, mode=mode, threads=2)
    drawn = sampler.draw(pairs.user_row, 8, np.random.default_rng(1))
    assert drawn.shape == (len(pairs), 8)
    known = pairs.user_row.astype(np.int64) * n_items + pairs.item_row
    assert not np.isin(pairs.user_row.astype(np.int64)[:, None] * n_items + drawn, known).any()


def odds_after_rejection(mode: Mode, owned: int) -> tuple[np.ndarray, np.ndarray]:
    """What one user who has `owned` of 12 items is drawn, and the odds worked out by hand."""
    n_items = 12
    # Item i has i other users; item 0 has none and counts as one with one.
    others = [(1 + u, item) for item in range(n_items) for u in range(item)]
    mine = [(0, n_items - 1 - n) for n in range(owned)]
    pairs = Pairs.of(*np.array([*mine, *others]).T)
    sampler = UserNegatives.of(pairs, n_items + 1, n_items, mode=mode)
    drawn = sampler.draw(np.zeros(20_000, np.int32), 3, np.random.default_rng(11))
    degrees = np.maximum(np.arange(n_items, dtype=float), 1)
    odds = degrees**0.75 if mode == "popularity" else np.ones(n_items)
    odds[n_items - owned :] = 0
    return np.bincount(drawn.ravel(), minlength=n_items), odds / odds.sum() * drawn.size


# With 10 of 12 items owned, most of the answers come from the list of missing items after the rounds.
@by_mode
@pytest.mark.parametrize("owned", [0, 4, 10])
def test_what_is_left_keeps_its_odds(mode: Mode, owned: int) -> None:
    counts, expected = odds_after_rejection(mode, owned)
    assert np.all(counts[expected == 0] == 0)
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3


@by_mode
def test_the_same_seed_draws_the_same_whatever_the_threads(mode: Mode) -> None:
    pairs, n_users, n_items = large_shop()
    one, two = (UserNegatives.of(pairs, n_users, n_items, mode=mode, threads=n) for n in (1, 2))
    first, again = (sampler.draw(pairs.user_row, 8, np.random.default_rng(5)) for sampler in (one, two))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, one.draw(pairs.user_row, 8, np.random.default_rng(6)))
    rng = np.random.default_rng(5)
    assert np.array_equal(first, one.draw(pairs.user_row, 8, rng))
    assert not np.array_equal(first, one.draw(pairs.user_row, 8, rng)), "each call moves the generator on"


@by_mode
def test_a_user_who_has_everything_is_named(mode: Mode) -> None:
    sampler = UserNegatives.of(Pairs.of([0, 1, 1], [0, 0, 1]), 3, 2, mode=mode)
    assert sampler.exhausted.tolist() == [False, True, False]
    with pytest.raises(InvalidInput, match="1 users have all 2 items, the first at row 1"):
        sampler.draw(np.array([0, 1], np.int32), 1, np.random.default_rng(0))
    assert sampler.draw(np.array([0], np.int32), 2, np.random.default_rng(0)).tolist() == [[1, 1]]


@by_mode
def test_small_shops(mode: Mode) -> None:
    rng = np.random.default_rng(0)
    nobody = UserNegatives.of(Pairs.empty(), 2, 1, mode=mode)
    assert nobody.draw(np.array([0, 1], np.int32), 2, rng).tolist() == [[0, 0], [0, 0]]
    assert nobody.draw(np.array([], np.int32), 3, rng).shape == (0, 3)
    nothing = UserNegatives.of(Pairs.empty(), 1, 0, mode=mode)
    with pytest.raises(InvalidInput, match="all 0 items"):
        nothing.draw(np.array([0], np.int32), 1, rng)


@pytest.mark.parametrize(("users", "ratio"), [([-1], 1), ([2], 1), ([0], 0)])
def test_wrong_questions_are_refused(users: list[int], ratio: int) -> None:
    sampler = UserNegatives.of(Pairs.of([0], [0]), 2, 3)
    with pytest.raises(InvalidInput):
        sampler.draw(np.array(users, np.int32), ratio, np.random.default_rng(0))


def test_a_look_up_is_exact_where_the_table_has_foreign_bits() -> None:
    pairs, n_users, n_items = large_shop()
    known = KnownPairs.of(pairs, n_users, n_items)
    everything = np.arange(n_users * n_items, dtype=np.int64)
    assert np.array_equal(everything[known.hits(everything)], known.keys)
    assert np.array_equal(known.items_of(7), pairs.item_row[pairs.user_row == 7])


@pytest.mark.parametrize("pairs", [Pairs.of([2], [0]), Pairs.of([0], [3]), Pairs.of([-1], [0])])
def test_pairs_outside_the_shop_are_refused(pairs: Pairs) -> None:
    with pytest.raises(InvalidInput, match="outside 2 users × 3 items"):
        KnownPairs.of(pairs, 2, 3)


def test_pairs_out_of_order_are_refused() -> None:
    ones = np.ones(2, np.float32)
    with pytest.raises(InvalidInput, match="not sorted"):
        KnownPairs.of(Pairs(np.array([1, 0], np.int32), np.array([0, 0], np.int32), ones, ones), 2, 3)


@pytest.mark.parametrize("mass", [[], [1.0, 0.0], [1.0, np.inf], [1.0, np.nan]])
def test_an_alias_table_needs_a_positive_mass_everywhere(mass: list[float]) -> None:
    with pytest.raises(InvalidInput):
        AliasTable.of(np.array(mass))
