"""Stopping a fit, starting it from known embeddings, and running it elsewhere than on the CPU."""

import time

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.bpr import paper_config
from recsaas_assets.recommender.config import LightGCNConfig
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.trainer import TrainingCancelled, fit
from resources.errors import InvalidInput

SMALL = LightGCNConfig(dim=8, steps=40, negatives=32)


def _random_pairs(n_users: int = 30, n_items: int = 20, n_pairs: int = 200) -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, n_users, n_pairs), rng.integers(0, n_items, n_pairs))


def test_cancelling_is_asked_for_before_every_epoch() -> None:
    answers = iter([False, False, True])
    with pytest.raises(TrainingCancelled, match="after 2 of 40"):
        fit(_random_pairs(), 30, 20, SMALL, seed=0, should_stop=lambda: next(answers))


@pytest.mark.parametrize(
    "config",
    [
        # One step of this takes ten seconds and more.
        SMALL.model_copy(update={"user_block": 256, "negatives": 65_536, "steps": 1}),
        paper_config().model_copy(update={"steps": 1, "batch_size": 1}),
    ],
    ids=["within a step", "between the steps of an epoch"],
)
def test_cancelling_within_a_second(config: LightGCNConfig) -> None:
    pairs = _random_pairs(50_000, 1000, 100_000)
    started = time.monotonic()
    with pytest.raises(TrainingCancelled, match="after 0 of 1"):
        fit(pairs, 50_000, 1000, config, seed=0, should_stop=lambda: time.monotonic() - started > 0.5)
    assert time.monotonic() - started < 1.5


def test_the_caller_is_not_asked_more_than_a_few_times_a_second() -> None:
    asked = []
    config = paper_config().model_copy(update={"steps": 1, "batch_size": 1})
    fit(_random_pairs(), 30, 20, config, seed=0, should_stop=lambda: bool(asked.append(time.monotonic())))
    within = np.diff(asked[1:])
    assert (within > 0.1).all()


def test_a_fit_that_starts_from_another_ones_end_starts_with_its_loss() -> None:
    cold = fit(_random_pairs(), 30, 20, SMALL, seed=0)
    initial = cold.vectors.start_users, cold.vectors.start_items
    warm = fit(_random_pairs(), 30, 20, SMALL, seed=1, initial=initial, stop_after=1)
    assert warm.history[0].loss == pytest.approx(cold.history[-1].loss, rel=0.1)
    assert warm.history[0].loss < 0.8 * cold.history[0].loss


def test_rows_to_start_from_that_are_not_known_start_at_random() -> None:
    users, items = np.full((30, 8), np.nan, np.float32), np.full((20, 8), np.nan, np.float32)
    cold = fit(_random_pairs(), 30, 20, SMALL, seed=1)
    assert np.array_equal(
        cold.vectors.items, fit(_random_pairs(), 30, 20, SMALL, seed=1, initial=(users, items)).vectors.items
    )


def test_embeddings_of_another_shape_are_refused() -> None:
    wrong = np.zeros((30, 7), np.float32), np.zeros((20, 8), np.float32)
    with pytest.raises(InvalidInput, match=r"shape \(30, 7\), this fit needs \(30, 8\)"):
        fit(_random_pairs(), 30, 20, SMALL, seed=1, initial=wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", [SMALL, paper_config().model_copy(update={"dim": 8, "steps": 20})])
def test_cuda_gives_what_the_cpu_gives(config: LightGCNConfig) -> None:
    rng = np.random.default_rng(8)
    validation = Pairs.of(rng.integers(0, 30, 60), rng.integers(0, 20, 60))
    home, away = (
        fit(_random_pairs(), 30, 20, config, seed=1, validation=validation, device=each) for each in ("cpu", "cuda")
    )
    assert [each.loss for each in away.history] == pytest.approx([each.loss for each in home.history], rel=1e-3)
    np.testing.assert_allclose(away.vectors.items, home.vectors.items, rtol=0.02, atol=0.02)
