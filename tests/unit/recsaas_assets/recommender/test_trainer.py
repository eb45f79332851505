"""What a fit tells, when it ends, and what it leaves behind; its answers are in test_every_model."""

import numpy as np
import pytest

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.plots import curves_png
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.early_stopping import ValidationProbe
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, fit
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import LightGCNConfig

SMALL = LightGCNConfig(dim=8, steps=40, negatives=32)


def _scorer(result: FitResult, pairs: Pairs) -> VectorScorer:
    return VectorScorer(result.vectors.users, result.vectors.items, pairs.users_per_item(len(result.vectors.items)) > 0)


def _random_pairs() -> Pairs:
    rng = np.random.default_rng(5)
    return Pairs.of(rng.integers(0, 30, 200), rng.integers(0, 20, 200))


def test_the_seed_decides_everything() -> None:
    pairs = _random_pairs()
    first, again, other = (fit(FitInputs(pairs, 30, 20, seed=seed), SMALL) for seed in (3, 3, 4))
    assert np.array_equal(first.vectors.users, again.vectors.users)
    assert np.array_equal(first.vectors.items, again.vectors.items)
    assert [each.loss for each in first.history] == [each.loss for each in again.history]
    assert not np.array_equal(first.vectors.items, other.vectors.items)


def test_the_loss_falls() -> None:
    history = fit(FitInputs(_random_pairs(), 30, 20, seed=0), SMALL).history
    assert history[-1].loss < history[0].loss


def test_progress_counts_epochs_and_can_be_drawn() -> None:
    seen: list[EpochProgress] = []
    result = fit(
        FitInputs(_random_pairs(), 30, 20, seed=0, validation=Pairs.of([0], [1]), stop_after=7),
        SMALL,
        on_epoch=seen.append,
    )
    assert [(each.epoch, each.total) for each in seen] == [(epoch, 7) for epoch in range(1, 8)]
    assert seen[-1].eta_seconds == 0
    assert tuple(seen) == result.history
    assert curves_png(result.history).startswith(b"\x89PNG")


def test_stop_after_is_the_same_run_cut_short() -> None:
    pairs = _random_pairs()
    short, full = (fit(FitInputs(pairs, 30, 20, seed=0, stop_after=stop), SMALL) for stop in (5, None))
    assert [each.loss for each in short.history] == [each.loss for each in full.history[:5]]
    assert (short.best_epoch, full.best_epoch) == (5, 40)


def test_early_stopping_returns_the_vectors_of_its_best_epoch() -> None:
    # Validation pairs drawn at random: nothing to learn, so some early look is the best one.
    rng = np.random.default_rng(8)
    validation = Pairs.of(rng.integers(0, 30, 60), rng.integers(0, 20, 60))
    config = SMALL.model_copy(update={"steps": 200, "patience": 3})
    result = fit(FitInputs(_random_pairs(), 30, 20, seed=0, validation=validation), config)
    assert len(result.history) < 200
    assert result.best_epoch < len(result.history)
    again = fit(FitInputs(_random_pairs(), 30, 20, seed=0, stop_after=result.best_epoch), config)
    assert np.array_equal(result.vectors.items, again.vectors.items)


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="upload interactions"):
        fit(FitInputs(Pairs.empty(), 3, 3, seed=0), SMALL)


@pytest.mark.parametrize("config", [SMALL, defaults_for(1, 1, 1)])
def test_one_user_one_item(config: LightGCNConfig) -> None:
    result = fit(FitInputs(Pairs.of([0], [0]), 1, 1, seed=0), config)
    assert result.vectors.users.shape == result.vectors.items.shape == (1, config.dim)
    assert np.isfinite(result.vectors.users).all() and np.isfinite(result.vectors.items).all()


@pytest.mark.parametrize("config", [SMALL, defaults_for(3, 4, 2)])
def test_rows_without_pairs_have_no_start_noise_and_cold_items_are_never_ranked(config: LightGCNConfig) -> None:
    pairs = Pairs.of([0, 1], [0, 1])
    result = fit(FitInputs(pairs, 3, 4, seed=0), config)
    assert not result.vectors.users[2, : config.learned_dim].any()
    assert not result.vectors.items[2:].any()
    ranked, scores = _scorer(result, pairs).top_k(np.arange(3, dtype=np.int32), 4, pairs.csr(3, 4))
    assert set(ranked.ravel().tolist()) <= {-1, 0, 1}
    assert ranked[0].tolist() == [1, -1, -1, -1]
    assert np.isneginf(scores[0, 1:]).all()


def test_config_round_trip() -> None:
    config = defaults_for(10, 10, 10)
    assert LightGCNConfig.model_validate_json(config.model_dump_json()) == config


def test_the_validation_figures_are_means_over_users_without_what_they_had_seen() -> None:
    """User 0 has seen item 0, and the two other items are ranked 1, 2; user 1 has seen item 1, and its item is last."""
    train = Pairs.of([0, 1, 2], [0, 1, 2])
    validation = Pairs.of([0, 0, 1], [1, 2, 0])
    probe = ValidationProbe.of(FitInputs(train, 3, 3, seed=0, validation=validation), limit=10)
    assert probe is not None
    items = np.array([[1.0], [3.0], [2.0]], dtype=np.float32)
    found = probe.measure(np.ones((3, 1), dtype=np.float32), items)
    assert found == {"ndcg@10": pytest.approx((1 + 1 / np.log2(3)) / 2), "recall@20": 1.0}
    many = np.arange(40, dtype=np.float32)[:, None]
    every = Pairs.of(np.r_[np.zeros(20, int), np.ones(20, int)], np.arange(40))
    last_two = Pairs.of([0, 0], [39, 20])
    late = ValidationProbe.of(FitInputs(every, 2, 40, seed=0, validation=last_two), limit=10)
    assert late is not None
    best_but_one_of_twenty = late.measure(np.ones((2, 1), dtype=np.float32), many)
    assert best_but_one_of_twenty["recall@20"] == 1.0, "the twentieth place counts"
    assert best_but_one_of_twenty["ndcg@10"] == pytest.approx(1 / (1 + 1 / np.log2(3))), "and not beyond the tenth"
