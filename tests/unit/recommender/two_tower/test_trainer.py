"""Fits of the two-tower model; what every model must do is in `test_every_model.py`."""

from __future__ import annotations

import numpy as np
import pytest

from recsaas_assets.recommender.feature_tables import Features, FeatureTable
from recsaas_assets.recommender.model_config import default_config, fit_model, parse_config
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.trainer import FitResult, TrainingCancelled
from recsaas_assets.recommender.two_tower.config import TwoTowerConfig
from recsaas_assets.recommender.two_tower.trainer import fit_two_tower
from resources.errors import InvalidInput

SMALL = TwoTowerConfig(dim=8, hidden=8, steps=20, negatives=16, user_block=16)


def random_pairs() -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, 30, 200), rng.integers(0, 20, 200))


def fit(config: TwoTowerConfig = SMALL, **more: object) -> FitResult:
    return fit_two_tower(random_pairs(), 30, 20, config, seed=3, **more)  # type: ignore[arg-type]


def features(sides: np.ndarray, items: np.ndarray) -> Features:  # type: ignore[type-arg]
    def table(values: np.ndarray) -> FeatureTable:  # type: ignore[type-arg]
        return FeatureTable(("side",), values.astype(np.float32)[:, None])

    return Features(table(sides), table(items))


def test_users_and_items_without_pairs_get_the_vector_of_their_features() -> None:
    """Two communities; the last user and item of each have no pair, and only a feature tells where they belong."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 6)
    pairs = Pairs.of(users, rng.integers(0, 15, 240) + np.where(users < 20, 0, 15))
    of_users = np.concatenate([np.repeat([-1, 1], 20), [-1, 1, np.nan]])
    of_items = np.concatenate([np.repeat([-1, 1], 15), [-1, 1, np.nan]])
    config = SMALL.model_copy(update={"steps": 50, "layer_learning_rate": 0.02, "user_block": 64})
    vectors = fit_two_tower(pairs, 43, 33, config, seed=0, features=features(of_users, of_items)).vectors
    scores = vectors.users[:, :7] @ vectors.items[:, :7].T
    for side in (0, 1):
        own, other = slice(15 * side, 15 * side + 15), slice(15 - 15 * side, 30 - 15 * side)
        assert scores[40 + side, own].mean() > scores[40 + side, other].mean() + 0.3
        members = slice(20 * side, 20 * side + 20), slice(20 - 20 * side, 40 - 20 * side)
        assert scores[members[0], 30 + side].mean() > scores[members[1], 30 + side].mean() + 0.3
    assert not vectors.users[42, :7].any() and not vectors.items[32, :7].any()
    assert not fit_two_tower(pairs, 43, 33, SMALL, seed=0).vectors.users[40:, :7].any()


def test_vectors_have_the_form_that_the_rest_of_the_product_reads() -> None:
    vectors = fit().vectors
    assert vectors.users.shape == (30, 8) and vectors.items.shape == (20, 8)
    assert vectors.fold_in.shape == vectors.start_items.shape == (20, 7) and vectors.start_users.shape == (30, 7)
    assert all(getattr(vectors, name).dtype == np.float32 for name in vectors.names())
    np.testing.assert_allclose(np.linalg.norm(vectors.users[:, :7], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors.users[:, 7], 1)


def test_early_stopping_returns_the_vectors_of_its_best_epoch() -> None:
    rng = np.random.default_rng(8)
    config = SMALL.model_copy(update={"steps": 100, "patience": 3})
    result = fit(config, validation=Pairs.of(rng.integers(0, 30, 60), rng.integers(0, 20, 60)))
    assert result.best_epoch < len(result.history) < 100
    again = fit(config, stop_after=result.best_epoch)
    assert np.array_equal(result.vectors.items, again.vectors.items)
    assert np.array_equal(result.vectors.start_users, again.vectors.start_users)


def test_progress_is_told_and_the_loss_falls() -> None:
    told: list[int] = []
    history = fit(on_epoch=lambda progress: told.append(progress.epoch)).history
    assert told == list(range(1, 21))
    assert history[-1].loss < history[0].loss and history[-1].eta_seconds == 0


def test_cancelling_within_an_epoch_raises() -> None:
    """Three polls an epoch: one before it and one for each block of users."""
    answers = iter([False] * 4 + [True])
    with pytest.raises(TrainingCancelled, match="after 1 of 20"):
        fit(should_stop=lambda: next(answers))


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="upload interactions"):
        fit_two_tower(Pairs.empty(), 3, 3, SMALL, seed=0)


def test_the_door_to_all_models_knows_it() -> None:
    config = default_config("two_tower", 30, 20, 200)
    assert isinstance(config, TwoTowerConfig)
    assert parse_config(config.model_dump(mode="json")) == config
    through_the_door = fit_model(SMALL, random_pairs(), 30, 20, seed=3)
    assert np.array_equal(through_the_door.vectors.items, fit().vectors.items)
