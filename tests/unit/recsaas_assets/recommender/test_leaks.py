"""What must not reach a fit: the future, the test period, the order of ids, and anybody else's random numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle import train as lifecycle
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.lightgcn.trainer import FitResult, fit
from resources.base.errors import CorruptArtifact
from resources.tenants.model_configs import LightGCNConfig, SequenceConfig
from tests.unit.recsaas_assets.recommender.paper import paper_config

CONFIG = LightGCNConfig(dim=4, steps=12, negatives=8, evaluate_every=2, patience=3)
SEQUENCE = SequenceConfig(dim=4, steps=12, negatives=8, hidden=4, batch_size=16, evaluate_every=2, patience=3)
N_USERS, N_ITEMS, N_ROWS = 6, 20, 120
START = datetime(2025, 1, 1, tzinfo=UTC)


def _interactions() -> list[tuple[str, str]]:
    rng = np.random.default_rng(1)
    # Everybody and everything occurs early, so that later rows change pairs and not the id maps.
    early = [(f"u{n % N_USERS}", f"i{n % N_ITEMS}") for n in range(2 * N_ITEMS)]
    return early + [(f"u{rng.integers(N_USERS)}", f"i{rng.integers(N_ITEMS)}") for _ in range(N_ROWS - len(early))]


def _data(rows: list[tuple[str, str]]) -> TrainingSet:
    """One interaction an hour: 96 to train on, 12 to validate, 12 to test."""
    frame = pl.DataFrame(
        {
            "user_id": [user for user, _ in rows],
            "item_id": [item for _, item in rows],
            "timestamp": pl.Series(
                [START + timedelta(hours=n) for n in range(len(rows))], dtype=pl.Datetime("us", "UTC")
            ),
            "interaction_type": ["view"] * len(rows),
            "signal": [1.0] * len(rows),
        }
    )
    return build_training_set(frame, pl.Series("item_id", [f"i{n}" for n in range(N_ITEMS)]), 10)


def test_no_row_of_the_future_is_in_an_earlier_part() -> None:
    """Other rows in the test period change nothing before it: no pair, no weight, no age."""
    rows = _interactions()
    repeated = [*rows[:-12], *[rows[0]] * 12]
    data, other = _data(rows), _data(repeated)
    for part in ("train", "validation", "before_test"):
        for name in ("user_row", "item_row", "weight", "age_days"):
            assert np.array_equal(getattr(data.parts[part], name), getattr(other.parts[part], name)), (part, name)
    assert len(data.test) > len(other.test) == 1


def test_the_epoch_to_stop_at_is_found_without_the_test_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit is handed its own part: validation only to the first, and test to none."""
    data = _data(_interactions())
    handed: list[tuple[str, str | None]] = []
    part_of = {id(pairs): name for name, pairs in data.parts.items()}

    def recorded(inputs: FitInputs, *rest: Any, **options: Any) -> FitResult:
        handed.append((part_of[id(inputs.pairs)], part_of.get(id(inputs.validation))))
        return fit_model(inputs, *rest, **options)

    monkeypatch.setattr(lifecycle, "fit_model", recorded)
    train(TrainingInputs(data), CONFIG, seed=1)
    assert handed[:3] == [("train", "validation"), ("before_test", None), ("full", None)]
    assert not [each for each in handed if "test" in each]


@pytest.mark.parametrize("config", [CONFIG, SEQUENCE], ids=["lightgcn", "sequence"])
def test_validation_decides_when_to_stop_and_test_does_not(config: ModelConfig) -> None:
    """Rows planted in the test period change no bit of what is measured on it."""
    rows = _interactions()
    models = {
        name: train(TrainingInputs(_data(changed)), config, seed=1)
        for name, changed in {
            "as it was": rows,
            "other test": [*rows[:-12], *[("u0", "i0")] * 12],
            "other validation": [*rows[:-24], *[("u0", f"i{n % N_ITEMS}") for n in range(12)], *rows[-12:]],
        }.items()
    }
    looks = {name: [each.metrics for each in model.history] for name, model in models.items()}
    assert looks["other test"] == looks["as it was"] != looks["other validation"]
    assert models["other test"].epochs == models["as it was"].epochs
    holdout, planted = models["as it was"].holdout, models["other test"].holdout
    assert np.array_equal(holdout.users, planted.users) and np.array_equal(holdout.items, planted.items)


@pytest.mark.parametrize("exchange", [{"u0": "u1", "u1": "u0"}, {"u0": "t0"}], ids=["other rows", "same rows"])
def test_a_model_is_not_read_with_another_id_map(exchange: dict[str, str], tmp_path: Path) -> None:
    """Same sizes, but users' names are others: the rows would answer for the wrong people."""
    rows = _interactions()
    renamed = _data([(exchange.get(user, user), item) for user, item in rows])
    data = _data(rows)
    assert (renamed.n_users, renamed.n_items) == (data.n_users, data.n_items)
    train(TrainingInputs(data), CONFIG, seed=1).save(UPath(tmp_path))
    with pytest.raises(CorruptArtifact, match="another training set"):
        TrainedModel.load(UPath(tmp_path), renamed)


def test_vectors_belong_to_the_rows_of_the_id_map() -> None:
    """Whoever has the history of two communities is placed in them under their own id, in whatever order ids come."""
    rows = [
        (f"u{user:02}", f"{'ab'[user % 2]}{item}")
        for _ in range(2)
        for user in np.random.default_rng(0).permutation(20)
        for item in range(5)
        if (user + item) % 4 != 3
    ]
    data = _data(rows)
    vectors = fit(
        FitInputs(data.full, data.n_users, data.n_items, seed=0), CONFIG.model_copy(update={"steps": 40})
    ).vectors
    scores = vectors.users @ vectors.items.T
    for user in ("u00", "u01", "u13", "u18"):
        own, other = (
            scores[data.users.rows([user])[0], data.items.rows([f"{side}{n}" for n in range(5)])].mean()
            for side in (("a", "b") if int(user[1:]) % 2 == 0 else ("b", "a"))
        )
        assert own > other


@pytest.mark.parametrize("config", [CONFIG, paper_config().model_copy(update={"dim": 4, "steps": 3, "batch_size": 16})])
def test_all_sampling_comes_from_the_seed(config: LightGCNConfig) -> None:
    """The global generators are neither read nor moved on."""
    pairs = _data(_interactions()).full
    items = []
    for state in (1, 2):
        torch.manual_seed(state)
        np.random.seed(state)
        before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
        items.append(fit(FitInputs(pairs, N_USERS, N_ITEMS, seed=5), config).vectors.items)
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])
    assert np.array_equal(items[0], items[1])
    assert not np.array_equal(items[0], fit(FitInputs(pairs, N_USERS, N_ITEMS, seed=6), config).vectors.items)
