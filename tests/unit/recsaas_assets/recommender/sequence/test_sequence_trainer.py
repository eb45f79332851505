"""Fits of the sequence model; what every model must do is in `test_every_model.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import default_config, fit_model, parse_config
from recsaas_assets.recommender.lightgcn.trainer import FitResult, TrainingCancelled
from recsaas_assets.recommender.sequence.trainer import fit_sequence
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import SequenceConfig

SMALL = SequenceConfig(dim=8, hidden=8, length=6, steps=12, negatives=16, batch_size=32, learning_rate=0.05)


def random_pairs() -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, 30, 200), rng.integers(0, 20, 200), age_days=rng.integers(0, 50, 200))


def fit(
    config: SequenceConfig = SMALL, *, validation: Pairs | None = None, stop_after: int | None = None, **more: Any
) -> FitResult:
    inputs = FitInputs(random_pairs(), 30, 20, seed=3, validation=validation, stop_after=stop_after)
    return fit_sequence(inputs, config, **more)


def walks(n_users: int, n_items: int, length: int, *, shuffled: bool = False) -> tuple[Pairs, np.ndarray]:
    """Everybody goes round a ring of items, one a day; and the item that comes next for each user."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, n_items, n_users)
    items = (first[:, None] + np.arange(length)) % n_items
    following = (first + length) % n_items
    ages = np.tile(np.arange(length, 0, -1), n_users)
    if shuffled:
        ages = rng.permuted(ages.reshape(n_users, length), axis=1).ravel()
    return Pairs.of(np.repeat(np.arange(n_users), length), items.ravel(), age_days=ages), following


def hits(pairs: Pairs, following: np.ndarray, n_items: int) -> float:
    config = SMALL.model_copy(update={"dim": 16, "horizon": 1, "steps": 30, "temperature": 0.1, "dropout": 0.0})
    vectors = fit_sequence(FitInputs(pairs, len(following), n_items, seed=1), config).vectors
    scores = vectors.users[:, :15] @ vectors.items[:, :15].T
    scores[pairs.user_row, pairs.item_row] = -np.inf
    return float((scores.argmax(axis=1) == following).mean())


def test_it_learns_what_comes_next_from_the_order_and_from_nothing_else() -> None:
    """Sets of items are the same in both shops: only in the first does their order tell which end comes next."""
    ordered, following = walks(120, 12, 5)
    assert hits(ordered, following, 12) > 0.9
    mixed, _ = walks(120, 12, 5, shuffled=True)
    assert hits(mixed, following, 12) < 0.7


def test_the_vectors_of_users_are_those_of_the_released_encoder() -> None:
    result = fit()
    pairs, vectors = random_pairs(), result.vectors
    assert result.encoder is not None
    order = np.lexsort((pairs.item_row, -pairs.age_days, pairs.user_row))
    for user in range(30):
        items = pairs.item_row[order][pairs.user_row[order] == user]
        np.testing.assert_allclose(result.encoder.state(vectors.fold_in[items]), vectors.users[user, :7], atol=1e-5)


def test_vectors_have_the_form_that_the_rest_of_the_product_reads() -> None:
    pairs = random_pairs()
    vectors = fit_sequence(FitInputs(pairs, 31, 22, seed=3), SMALL).vectors
    assert vectors.users.shape == (31, 8) and vectors.items.shape == (22, 8)
    assert vectors.fold_in.shape == vectors.start_items.shape == (22, 7) and vectors.start_users.shape == (31, 7)
    assert all(getattr(vectors, name).dtype == np.float32 for name in vectors.names())
    np.testing.assert_allclose(np.linalg.norm(vectors.users[:30, :7], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors.users[:, 7], 1)
    assert not vectors.users[30, :7].any() and not vectors.items[20:, :7].any() and not vectors.fold_in[20:].any()


def test_shuffled_targets_leave_nothing_to_find() -> None:
    """Which user took up what, redrawn: the validation figure falls to that of chance."""
    users = np.repeat(np.arange(60), 8)
    rng = np.random.default_rng(0)
    items = rng.integers(0, 20, 480) + np.where(users < 30, 0, 20)
    ages = rng.random(480) * 30
    held = Pairs.of(users[::8], (items[::8] + 7) % 20 + np.where(users[::8] < 30, 0, 20))

    def value(fitted: Pairs) -> float:
        inputs = FitInputs(fitted, 60, 40, seed=3, validation=held)
        history = fit_sequence(inputs, SMALL.model_copy(update={"popularity_weight": 0.0})).history
        return max(epoch.metrics["ndcg@10"] for epoch in history if epoch.metrics)

    mixed = Pairs.of(users, rng.permutation(items), age_days=ages)
    assert value(Pairs.of(users, items, age_days=ages)) > 1.4 * value(mixed)


def test_early_stopping_returns_the_vectors_and_the_encoder_of_its_best_epoch() -> None:
    rng = np.random.default_rng(8)
    config = SMALL.model_copy(update={"steps": 60, "patience": 2})
    result = fit(config, validation=Pairs.of(rng.integers(0, 30, 60), rng.integers(0, 20, 60)))
    assert result.best_epoch < len(result.history) < 60
    again = fit(config, stop_after=result.best_epoch)
    assert np.array_equal(result.vectors.items, again.vectors.items)
    assert np.array_equal(result.vectors.users, again.vectors.users)
    assert result.encoder is not None and again.encoder is not None
    assert result.encoder.to_bytes() == again.encoder.to_bytes()


def test_the_seed_decides_every_bit_and_the_process_none() -> None:
    results = []
    for seed in (0, 1):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append(fit())
    first, second = results
    assert np.array_equal(first.vectors.users, second.vectors.users)
    assert first.encoder is not None and second.encoder is not None
    assert first.encoder.to_bytes() == second.encoder.to_bytes()


def test_progress_is_told_and_the_loss_falls() -> None:
    told: list[int] = []
    history = fit(on_epoch=lambda progress: told.append(progress.epoch)).history
    assert told == list(range(1, 13))
    assert history[-1].loss < history[0].loss and history[-1].eta_seconds == 0


def test_cancelling_within_an_epoch_raises() -> None:
    answers = iter([False] * 10 + [True])
    with pytest.raises(TrainingCancelled, match="after 1 of 12"):
        fit(SMALL.model_copy(update={"batch_size": 20}), should_stop=lambda: next(answers))


def test_no_pairs_is_an_error_and_users_of_one_item_are_none() -> None:
    with pytest.raises(InvalidInput, match="upload interactions"):
        fit_sequence(FitInputs(Pairs.empty(), 3, 3, seed=0), SMALL)
    vectors = fit_sequence(FitInputs(Pairs.of([0, 1, 2], [0, 1, 1]), 3, 2, seed=0), SMALL).vectors
    vectors.require_finite()
    assert vectors.users[:, :7].any(axis=1).all()


def test_the_door_to_all_models_knows_it() -> None:
    config = default_config("sequence", 30, 20, 200)
    assert isinstance(config, SequenceConfig)
    assert parse_config(config.model_dump(mode="json")) == config
    through_the_door = fit_model(FitInputs(random_pairs(), 30, 20, seed=3), SMALL)
    assert np.array_equal(through_the_door.vectors.items, fit().vectors.items)
