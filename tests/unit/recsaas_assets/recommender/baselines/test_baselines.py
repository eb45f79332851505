"""Baselines against figures worked out by hand, and against cases whose right answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recsaas_assets.recommender.baselines import implicit_models
from recsaas_assets.recommender.baselines.dense import DenseScorer
from recsaas_assets.recommender.baselines.implicit_models import (
    AlsOptions,
    BprOptions,
    implicit_als,
    implicit_bpr,
    implicit_installed,
)
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.yardsticks import ease, item_knn
from resources.base.errors import NotReady

Fit = Callable[[Pairs, int, int], DenseScorer]

needs_implicit = pytest.mark.skipif(not implicit_installed(), reason="the package implicit is not installed")
EVERY: list[object] = [
    pytest.param(item_knn, id="item_knn"),
    pytest.param(lambda pairs, users, items: ease(pairs, users, items, regularisation=1.0), id="ease"),
    pytest.param(
        lambda pairs, users, items: implicit_als(pairs, users, items, AlsOptions(factors=8)),
        id="als",
        marks=needs_implicit,
    ),
    pytest.param(
        lambda pairs, users, items: implicit_bpr(
            pairs, users, items, BprOptions(factors=8, learning_rate=0.1, regularisation=0.001, iterations=200)
        ),
        id="bpr",
        marks=needs_implicit,
    ),
]


def _checkerboard(n: int) -> Pairs:
    """User u has every item of the same parity but the one at its own place (as in benfred/implicit)."""
    users, items = np.nonzero((np.add.outer(np.arange(n), np.arange(n)) % 2 == 0) & ~np.eye(n, dtype=bool))
    return Pairs.of(users, items)


@pytest.mark.parametrize("fit", EVERY)
def test_checkerboard(fit: Fit) -> None:
    pairs = _checkerboard(20)
    rows, _ = fit(pairs, 20, 20).top_k(np.arange(20, dtype=np.int32), 1, pairs.csr(20, 20))
    assert rows[:, 0].tolist() == list(range(20))


@pytest.mark.parametrize("fit", EVERY)
def test_the_same_seed_gives_the_same_scores_and_cold_items_are_never_ranked(fit: Fit) -> None:
    pairs = _checkerboard(10)
    users = np.arange(10, dtype=np.int32)
    first, again = (fit(pairs, 11, 12).top_k(users, 12, None) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[0].ravel()) == {-1, *range(10)}


def test_ease_is_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    dense = rng.random((12, 5)) < 0.5
    users, items = np.nonzero(dense)
    inverse = np.linalg.inv(dense.T.astype(float) @ dense + 7.0 * np.eye(5))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    rows, scores = ease(Pairs.of(users, items), 12, 5, regularisation=7.0).top_k(np.arange(12, dtype=np.int32), 5, None)
    np.testing.assert_allclose(scores, np.take_along_axis(dense @ weights, rows, axis=1), atol=1e-6)


def test_shrinkage_damps_cosines_that_few_users_speak_for() -> None:
    # Items 0 and 1 share their one user (cosine 1); items 2 and 3 share 4 users (cosine 1).
    pairs = Pairs.of([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], [0, 1, 2, 3, 2, 3, 2, 3, 2, 3])
    users = np.array([0, 1], dtype=np.int32)
    seen = Pairs.of([0, 1], [0, 2]).csr(5, 4)
    plain = item_knn(pairs, 5, 4).top_k(users, 1, seen)[1]
    shrunk = item_knn(pairs, 5, 4, shrinkage=4.0).top_k(users, 1, seen)[1]
    np.testing.assert_allclose(plain[:, 0], [1, 1])
    np.testing.assert_allclose(shrunk[:, 0], [1 / 5, 4 / 8])


def test_recency_decides_between_items_a_user_likes_alike() -> None:
    # User 0 has item 0, which goes with items 1 and 2 alike; item 2 is bought lately.
    pairs = Pairs.of([0, 1, 1, 2, 2, 3, 4], [0, 0, 1, 0, 2, 1, 2], age_days=[60, 60, 60, 60, 0, 60, 0])
    scorer = item_knn(pairs, 5, 3)
    user, seen = np.array([0], dtype=np.int32), pairs.csr(5, 3)
    assert scorer.top_k(user, 2, seen)[0].tolist() == [[1, 2]]
    recent = scorer.with_recency(pairs, 3, weight=1.0, half_life_days=5.0)
    assert recent.top_k(user, 2, seen)[0].tolist() == [[2, 1]]


def test_without_implicit_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implicit_models, "find_spec", lambda name: None)
    with pytest.raises(NotReady, match="pip install implicit"):
        implicit_als(Pairs.of([0], [0]), 1, 1)
