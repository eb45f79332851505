"""What every model must get right: matrices whose right answer is known, and the smallest shops there are."""

from collections.abc import Callable

import numpy as np
import pytest

from recsaas_assets.recommender.baselines.implicit_models import (
    AlsOptions,
    BprOptions,
    implicit_als,
    implicit_bpr,
)
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.item_models.yardsticks import ease, item_knn
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from resources.tenants.model_configs import LightGCNConfig, TwoTowerConfig
from tests.unit.recsaas_assets.recommender.paper import paper_config

Fit = Callable[[Pairs, int, int, int], Scorer]
"""Pairs, n_users, n_items and seed to a ranker."""

PAPER = paper_config().model_copy(update={"dim": 8, "steps": 25, "batch_size": 32, "learning_rate": 0.05})


def _vectors(config: ModelConfig) -> Fit:
    def fitted(pairs: Pairs, n_users: int, n_items: int, seed: int) -> Scorer:
        vectors = fit_model(FitInputs(pairs, n_users, n_items, seed=seed), config).vectors
        return VectorScorer(vectors.users, vectors.items, pairs.users_per_item(n_items) > 0)

    return fitted


SEEDED: dict[str, Fit] = {
    "lightgcn": _vectors(LightGCNConfig(dim=8, steps=40, negatives=32)),
    "lightgcn with its defaults": _vectors(defaults_for(20, 20, 190).model_copy(update={"dim": 8})),
    "lightgcn of the paper": _vectors(PAPER),
    "two_tower": _vectors(TwoTowerConfig(dim=8, hidden=8, negatives=32, user_block=20, steps=30, learning_rate=0.03)),
    "als": lambda pairs, n_users, n_items, seed: implicit_als(
        pairs, n_users, n_items, AlsOptions(factors=8, seed=seed)
    ),
    "bpr": lambda pairs, n_users, n_items, seed: implicit_bpr(
        pairs, n_users, n_items, BprOptions(factors=8, learning_rate=0.1, seed=seed)
    ),
}
EVERY = SEEDED | {
    "item_knn": lambda pairs, n_users, n_items, _: item_knn(pairs, n_users, n_items),
    "ease": lambda pairs, n_users, n_items, _: ease(pairs, n_users, n_items, regularisation=10),
}
every_model = pytest.mark.parametrize("fit", EVERY.values(), ids=EVERY.keys())


def _rows(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32)


def _communities() -> Pairs:
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 6), rng.integers(0, 15, 240)
    return Pairs.of(users, items + np.where(users < 20, 0, 15))


@every_model
def test_checkerboard_every_user_gets_the_one_item_held_back(fit: Fit) -> None:
    """User u likes items of its own parity; its item u is held back and must come first (after benfred/implicit)."""
    users, items = np.nonzero((np.add.outer(np.arange(20), np.arange(20)) % 2 == 0) & ~np.eye(20, dtype=bool))
    pairs = Pairs.of(users, items)
    ranked, _ = fit(pairs, 20, 20, 1).top_k(_rows(20), 1, pairs.csr(20, 20))
    assert ranked[:, 0].tolist() == list(range(20))


@every_model
def test_two_communities_stay_apart(fit: Fit) -> None:
    ranked, _ = fit(_communities(), 40, 30, 0).top_k(_rows(40), 5, None)
    assert ((ranked >= 15) == (np.arange(40) >= 20)[:, None]).all()


@every_model
def test_an_unknown_user_is_answered_and_an_unknown_item_never_ranked(fit: Fit) -> None:
    """Row 40 of the users and rows 30 and 31 of the items have no pair."""
    pairs = _communities()
    ranked, scores = fit(pairs, 41, 32, 0).top_k(_rows(41), 40, pairs.csr(41, 32))
    assert ranked.shape == (41, 40)
    assert ranked.max() < 30
    assert not np.isnan(scores).any()
    assert (np.isneginf(scores) == (ranked == -1)).all()
    assert len(set(ranked[40][ranked[40] >= 0].tolist())) == 30
    for user in range(40):
        filled = ranked[user][ranked[user] >= 0].tolist()
        seen = pairs.item_row[pairs.user_row == user].tolist()
        assert sorted([*filled, *seen]) == list(range(30))


@pytest.mark.parametrize("fit", SEEDED.values(), ids=SEEDED.keys())
def test_the_seed_decides_everything(fit: Fit) -> None:
    """Whatever state the process's own generators are in."""
    scores = []
    for seed in (3, 3, 4):
        np.random.seed(len(scores))
        scores.append(fit(_communities(), 40, 30, seed).top_k(_rows(40), 5, None)[1])
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@every_model
def test_one_user_one_item(fit: Fit) -> None:
    pairs = Pairs.of([0], [0])
    scorer = fit(pairs, 1, 1, 0)
    assert scorer.top_k(_rows(1), 3, None)[0].tolist() == [[0, -1, -1]]
    assert scorer.top_k(_rows(1), 3, pairs.csr(1, 1))[0].tolist() == [[-1, -1, -1]]
    assert np.isfinite(scorer.top_k(_rows(1), 1, None)[1]).all()


@every_model
def test_everybody_has_everything(fit: Fit) -> None:
    pairs = Pairs.of(np.repeat(np.arange(3), 2), np.tile([0, 1], 3))
    ranked, _ = fit(pairs, 3, 2, 0).top_k(_rows(3), 5, pairs.csr(3, 2))
    assert (ranked == -1).all()
