"""Fits of the two-tower model; what every model must do is in `test_every_model.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.feature_tables import Features, FeatureTable
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import default_config, fit_model, parse_config
from recsaas_assets.recommender.lightgcn.trainer import FitResult, TrainingCancelled
from recsaas_assets.recommender.two_tower.objective import shuffled_blocks
from recsaas_assets.recommender.two_tower.trainer import _Fit, fit_two_tower
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import TwoTowerConfig

SMALL = TwoTowerConfig(dim=8, hidden=8, steps=20, negatives=16, user_block=16)


def random_pairs() -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, 30, 200), rng.integers(0, 20, 200))


def fit(
    config: TwoTowerConfig = SMALL, *, validation: Pairs | None = None, stop_after: int | None = None, **more: Any
) -> FitResult:
    inputs = FitInputs(random_pairs(), 30, 20, seed=3, validation=validation, stop_after=stop_after)
    return fit_two_tower(inputs, config, **more)


def features(sides: np.ndarray, items: np.ndarray) -> Features:
    def table(values: np.ndarray) -> FeatureTable:
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
    vectors = fit_two_tower(FitInputs(pairs, 43, 33, seed=0), config, features=features(of_users, of_items)).vectors
    scores = vectors.users[:, :7] @ vectors.items[:, :7].T
    for side in (0, 1):
        own, other = slice(15 * side, 15 * side + 15), slice(15 - 15 * side, 30 - 15 * side)
        assert scores[40 + side, own].mean() > scores[40 + side, other].mean() + 0.3
        members = slice(20 * side, 20 * side + 20), slice(20 - 20 * side, 40 - 20 * side)
        assert scores[members[0], 30 + side].mean() > scores[members[1], 30 + side].mean() + 0.3
    assert not vectors.users[42, :7].any() and not vectors.items[32, :7].any()
    assert not fit_two_tower(FitInputs(pairs, 43, 33, seed=0), SMALL).vectors.users[40:, :7].any()


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


def test_a_fit_takes_the_steps_of_adam_along_fresh_gradients() -> None:
    """Adam as its paper states it, in double precision.

    A gradient that is left over from the step before, as without zero_grad, ends elsewhere; so does another rate.
    """
    config = SMALL.model_copy(update={"steps": 5})
    sides = np.tile([-1.0, 1.0, np.nan], 10)
    inputs = features(sides, sides[:20])
    twin = _Fit.start(FitInputs(random_pairs(), 30, 20, seed=3), config, inputs)
    parameters = [each.detach().double() for each in twin.towers.parameters()]
    means, squares = ([torch.zeros_like(each) for each in parameters] for _ in range(2))
    taken = 0
    for epoch in range(config.steps):
        for users in shuffled_blocks(twin.pairs.active, config.user_block, twin.generator):
            for parameter, exact in zip(twin.towers.parameters(), parameters, strict=True):
                parameter.data.copy_(exact)
            loss = twin.objective.loss(twin.towers, twin.pairs.of(users), twin.generator)
            assert loss is not None
            taken += 1
            for n, gradient in enumerate(torch.autograd.grad(loss, list(twin.towers.parameters()))):
                rate = config.learning_rate if n < 2 else config.layer_learning_rate
                means[n] = config.beta1 * means[n] + (1 - config.beta1) * gradient
                squares[n] = config.beta2 * squares[n] + (1 - config.beta2) * gradient**2
                mean, square = means[n] / (1 - config.beta1**taken), squares[n] / (1 - config.beta2**taken)
                step = rate * (1 - epoch / config.steps) * mean / (square.sqrt() + 1e-8)
                parameters[n] = parameters[n] - step

    assert taken == 2 * config.steps
    vectors = fit(config, features=inputs).vectors
    np.testing.assert_allclose(vectors.start_users, parameters[0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors.start_items, parameters[1].numpy(), rtol=1e-4, atol=1e-5)


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
        fit_two_tower(FitInputs(Pairs.empty(), 3, 3, seed=0), SMALL)


def test_the_door_to_all_models_knows_it() -> None:
    config = default_config("two_tower", 30, 20, 200)
    assert isinstance(config, TwoTowerConfig)
    assert parse_config(config.model_dump(mode="json")) == config
    through_the_door = fit_model(FitInputs(random_pairs(), 30, 20, seed=3), SMALL)
    assert np.array_equal(through_the_door.vectors.items, fit().vectors.items)
