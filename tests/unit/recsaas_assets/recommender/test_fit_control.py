"""Stopping a fit, starting it from known embeddings, and running it elsewhere than on the CPU."""

import itertools
import time

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import Diverged
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model
from recsaas_assets.recommender.lightgcn import trainer
from recsaas_assets.recommender.lightgcn.trainer import TrainingCancelled, fit
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import LightGCNConfig, SequenceConfig, TwoTowerConfig
from tests.unit.recsaas_assets.recommender.paper import paper_config

SMALL = LightGCNConfig(dim=8, steps=40, negatives=32)
TWO_TOWER = TwoTowerConfig(dim=8, hidden=8, negatives=32, user_block=20, steps=10)
SEQUENCE = SequenceConfig(dim=8, hidden=8, negatives=32, batch_size=50, steps=10)


def _random_pairs(n_users: int = 30, n_items: int = 20, n_pairs: int = 200) -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, n_users, n_pairs), rng.integers(0, n_items, n_pairs))


def test_cancelling_is_asked_for_before_every_epoch() -> None:
    answers = iter([False, False, True])
    with pytest.raises(TrainingCancelled, match="after 2 of 40"):
        fit(FitInputs(_random_pairs(), 30, 20, seed=0), SMALL, should_stop=lambda: next(answers))


@pytest.mark.parametrize(
    ("config", "pieces"),
    [
        (SMALL.model_copy(update={"user_block": 3, "steps": 1}), 10),
        (paper_config().model_copy(update={"batch_size": 20, "steps": 1}), 10),
    ],
    ids=["each block of users in a step", "each batch of an epoch"],
)
def test_cancelling_is_possible_before(config: LightGCNConfig, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 users and 200 pairs in ten pieces; the pieces are small enough for a second also where there are many."""
    monkeypatch.setattr(trainer, "_SECONDS_BETWEEN_POLLS", 0)
    pairs, asked = _random_pairs(), itertools.count()
    fit(FitInputs(pairs, 30, 20, seed=0), config, should_stop=lambda: next(asked) < 0)
    times = next(asked)
    assert times > pieces
    for last in range(times):
        answers = iter([False] * last + [True])
        with pytest.raises(TrainingCancelled, match="after 0 of 1"):
            fit(FitInputs(pairs, 30, 20, seed=0), config, should_stop=lambda answers=answers: next(answers))  # type: ignore[misc]


def test_the_caller_is_not_asked_more_than_a_few_times_a_second() -> None:
    asked = []
    config = paper_config().model_copy(update={"steps": 1, "batch_size": 1})
    fit(FitInputs(_random_pairs(), 30, 20, seed=0), config, should_stop=lambda: bool(asked.append(time.monotonic())))
    within = np.diff(asked[1:])
    assert (within > 0.1).all()


def test_a_fit_that_starts_from_another_ones_end_starts_with_its_loss() -> None:
    cold = fit(FitInputs(_random_pairs(), 30, 20, seed=0), SMALL)
    initial = cold.vectors.start_users, cold.vectors.start_items
    warm = fit(FitInputs(_random_pairs(), 30, 20, seed=1, stop_after=1, initial=initial), SMALL)
    assert warm.history[0].loss == pytest.approx(cold.history[-1].loss, rel=0.1)
    assert warm.history[0].loss < 0.8 * cold.history[0].loss


def test_rows_to_start_from_that_are_not_known_start_at_random() -> None:
    users, items = np.full((30, 8), np.nan, np.float32), np.full((20, 8), np.nan, np.float32)
    cold = fit(FitInputs(_random_pairs(), 30, 20, seed=1), SMALL)
    assert np.array_equal(
        cold.vectors.items, fit(FitInputs(_random_pairs(), 30, 20, seed=1, initial=(users, items)), SMALL).vectors.items
    )


def test_embeddings_of_another_shape_are_refused() -> None:
    wrong = np.zeros((30, 7), np.float32), np.zeros((20, 8), np.float32)
    with pytest.raises(InvalidInput, match=r"shape \(30, 7\), this fit needs \(30, 8\)"):
        fit(FitInputs(_random_pairs(), 30, 20, seed=1, initial=wrong), SMALL)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", [SMALL, paper_config().model_copy(update={"dim": 8, "steps": 20})])
def test_cuda_gives_what_the_cpu_gives(config: LightGCNConfig) -> None:
    rng = np.random.default_rng(8)
    validation = Pairs.of(rng.integers(0, 30, 60), rng.integers(0, 20, 60))
    home, away = (
        fit(FitInputs(_random_pairs(), 30, 20, seed=1, validation=validation), config, device=each)
        for each in ("cpu", "cuda")
    )
    assert [each.loss for each in away.history] == pytest.approx([each.loss for each in home.history], rel=1e-3)
    np.testing.assert_allclose(away.vectors.items, home.vectors.items, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "config", [SMALL, TWO_TOWER, SEQUENCE, paper_config().model_copy(update={"dim": 8, "steps": 5})]
)
def test_pairs_of_years_ago_are_no_reason_for_vectors_that_are_no_numbers(config: ModelConfig) -> None:
    """2^-(20 years / 5 days) is 0 in float32: a user with such pairs alone would divide 0 by 0."""
    pairs = Pairs.of([0, 0, 1, 1], [0, 1, 2, 3], age_days=[0, 7300, 7300, 7200])
    vectors = fit_model(FitInputs(pairs, 2, 4, seed=0), config.model_copy(update={"half_life_days": 5.0})).vectors
    assert vectors.users[1].any() and vectors.items[3].any()


@pytest.mark.parametrize("config", [SMALL, TWO_TOWER, SEQUENCE])
def test_a_fit_that_diverges_says_so(config: ModelConfig) -> None:
    rates = {"learning_rate": 1e36, "layer_learning_rate": 1e36}
    wild = config.model_copy(update={name: rate for name, rate in rates.items() if hasattr(config, name)})
    with pytest.raises(Diverged, match="Lower learning_rate"):
        fit_model(FitInputs(_random_pairs(), 30, 20, seed=0), wild)
