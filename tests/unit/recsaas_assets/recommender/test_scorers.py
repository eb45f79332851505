"""Rankers against rankings written out by hand."""

import numpy as np

from recsaas_assets.recommender.baselines.popularity import popularity_scorer, recent_popularity
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.yardsticks import item_knn
from recsaas_assets.recommender.metrics.scorers import VectorScorer

USERS = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
ITEMS = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 9.0], [3.0, 0.0]], dtype=np.float32)


def _top(
    scorer: object, k: int, seen: Pairs | None = None, users: tuple[int, ...] = (0, 1), n: int = 4
) -> list[list[int]]:
    matrix = None if seen is None else seen.csr(max(users) + 1, n)
    return scorer.top_k(np.array(users, dtype=np.int32), k, matrix)[0].tolist()  # type: ignore[attr-defined, no-any-return]


def test_ties_go_to_the_lower_row() -> None:
    assert _top(VectorScorer(USERS, ITEMS, np.ones(4, dtype=bool)), 3) == [[0, 3, 2], [2, 0, 1]]


def test_seen_and_forbidden_items_are_left_out_and_short_lists_padded() -> None:
    scorer = VectorScorer(USERS, ITEMS, np.array([True, True, True, False]))
    assert _top(scorer, 3, Pairs.of([0, 1, 1, 1], [0, 0, 1, 2])) == [[2, 1, -1], [-1, -1, -1]]


def test_k_beyond_the_items_and_no_users_and_no_items() -> None:
    scorer = VectorScorer(USERS, ITEMS[:1], np.ones(1, dtype=bool))
    assert _top(scorer, 2) == [[0, -1], [0, -1]]
    assert scorer.top_k(np.array([], dtype=np.int32), 2, None)[0].shape == (0, 2)
    assert _top(VectorScorer(USERS, ITEMS[:0], np.ones(0, dtype=bool)), 2) == [[-1, -1], [-1, -1]]


def test_popularity_counts_users_and_never_ranks_an_item_nobody_met() -> None:
    pairs = Pairs.of([0, 1, 0], [2, 2, 1], [1.0, 1.0, 50.0])
    assert _top(popularity_scorer(pairs, 4), 4) == [[2, 1, -1, -1]] * 2


def test_recent_popularity_halves_per_half_life() -> None:
    pairs = Pairs.of([0, 1, 2], [0, 0, 1], age_days=[0.0, 14.0, 7.0])
    assert recent_popularity(pairs, 3, 7.0).tolist() == [1.25, 0.5, 0.0]


def test_item_knn_by_hand() -> None:
    # Items 0 and 1 share user 0 (cosine 1/√2), items 1 and 2 share user 1 (cosine 1/√2); item 3 is cold.
    pairs = Pairs.of([0, 0, 1, 1, 2], [0, 1, 1, 2, 2])
    scorer = item_knn(pairs, 3, 4)
    rows, scores = scorer.top_k(np.array([0, 2], dtype=np.int32), 4, pairs.csr(3, 4))
    assert rows.tolist() == [[2, -1, -1, -1], [1, 0, -1, -1]]
    np.testing.assert_allclose(scores[:, 0], [0.5, 0.5], rtol=1e-6)


def test_the_best_of_a_wide_catalogue_are_those_of_a_full_sort() -> None:
    # 700 items are more than four chunks of 64 per place, and no multiple of 64; the best one is in the rest.
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, 3)).astype(np.float32) for n in (5, 700))
    items[-1] = 9 * users[0]
    scorer = VectorScorer(users, items, np.arange(700) != 3)
    rows, scores = scorer.top_k(np.arange(5, dtype=np.int32), 2, None)
    exact = users @ items.T
    exact[:, 3] = -np.inf
    assert rows.tolist() == np.argsort(-exact, axis=1)[:, :2].tolist()
    assert rows[0, 0] == 699
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :2], rtol=1e-5)
