"""The three fits behind a release, and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.evaluation.model_report import report_on
from recsaas_assets.recommender.item_models.fitted import fit_item_models
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, TrainingCancelled
from resources.base.errors import CorruptArtifact
from resources.tenants.model_configs import LightGCNConfig

START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = LightGCNConfig(dim=4, steps=12, negatives=8, evaluate_every=2, patience=2)
ARRAYS = tuple(f"{fit}_{name}" for fit in ("search", "holdout", "release") for name in ModelVectors.names())


def array(model: TrainedModel, name: str) -> np.ndarray:
    fit, _, field = name.partition("_")
    return getattr(getattr(model, fit), field)


def training_set(rows: list[tuple[str, str]], signals: Sequence[float] | None = None) -> TrainingSet:
    """One interaction an hour; the last tenth is the test period. A negative signal is a dislike."""
    times = [START + timedelta(hours=n) for n in range(len(rows))]
    frame = pl.DataFrame(
        {
            "user_id": [user for user, _ in rows],
            "item_id": [item for _, item in rows],
            "timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * len(rows),
            "signal": signals or [1.0] * len(rows),
        }
    )
    # Every id is in the catalogue or in the first rows, so that changed rows later do not change the id maps.
    return build_training_set(frame, pl.Series("item_id", [f"i{n}" for n in range(20)]), 10)


ROWS = [(f"u{n % 5}", f"i{item}") for n, item in enumerate(np.random.default_rng(0).integers(0, 20, 40))]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return training_set(ROWS)


@pytest.fixture(scope="module")
def model(data: TrainingSet) -> TrainedModel:
    return train(TrainingInputs(data), CONFIG, seed=1)


def test_three_fits_the_later_ones_as_long_as_the_first_found_best(data: TrainingSet) -> None:
    told: list[tuple[str, EpochProgress]] = []
    model = train(TrainingInputs(data), CONFIG, seed=1, on_epoch=lambda name, progress: told.append((name, progress)))
    names = list(dict.fromkeys(name for name, _ in told))
    assert names == ["search", "holdout", "release"]
    per_fit = {name: [progress.epoch for fit, progress in told if fit == name] for name in names}
    assert per_fit["holdout"] == per_fit["release"] == list(range(1, model.epochs + 1))
    assert 1 <= model.epochs <= len(per_fit["search"]) <= CONFIG.steps
    assert model.history == tuple(progress for name, progress in told if name == "search")
    assert any(progress.metrics for progress in model.history)
    assert model.holdout.users.shape == model.release.users.shape == (5, 4)
    assert model.holdout.items.shape == model.release.items.shape == (20, 4)
    assert model.fingerprint == data.fingerprint


def test_what_is_measured_has_not_seen_the_test_period(data: TrainingSet, model: TrainedModel) -> None:
    """Other rows in the test period: the vectors that are measured stay as they are, those that go live do not."""
    n_test = data.split.test_interactions
    assert n_test == 4
    changed = training_set([*ROWS[:-n_test], *[("u0", f"i{n}") for n in range(n_test)]])
    assert changed.fingerprint != data.fingerprint
    other = train(TrainingInputs(changed), CONFIG, seed=1)
    assert np.array_equal(other.holdout.users, model.holdout.users)
    assert np.array_equal(other.holdout.items, model.holdout.items)
    assert other.epochs == model.epochs
    assert not np.array_equal(other.release.items, model.release.items)


def test_what_is_measured_has_seen_the_validation_period(data: TrainingSet, model: TrainedModel) -> None:
    n_test, n_validation = data.split.test_interactions, data.split.validation_interactions
    middle = [("u1", "i1")] * n_validation
    changed = training_set([*ROWS[: -n_test - n_validation], *middle, *ROWS[-n_test:]])
    assert not np.array_equal(train(TrainingInputs(changed), CONFIG, seed=1).holdout.items, model.holdout.items)


def test_same_seed_same_vectors(data: TrainingSet, model: TrainedModel) -> None:
    again, other = train(TrainingInputs(data), CONFIG, seed=1), train(TrainingInputs(data), CONFIG, seed=2)
    assert all(np.array_equal(array(again, name), array(model, name)) for name in ARRAYS)
    assert not np.array_equal(other.release.items, model.release.items)


@pytest.mark.parametrize("rows", [[("u", "i0")], [("ü", "i0"), ("v", "i1")]])
def test_a_set_that_cannot_be_split_is_fitted_once_on_everything(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    data = training_set(rows)
    assert not data.split.evaluable
    names: list[str] = []
    model = train(TrainingInputs(data), CONFIG, seed=1, on_epoch=lambda name, _: names.append(name))
    assert names == ["release"] * CONFIG.steps
    assert model.epochs == CONFIG.steps
    assert not model.holdout.items.any() and not model.holdout.users.any()
    assert np.isfinite(model.release.items).all() and model.release.items.any()
    model.save(UPath(tmp_path))
    assert TrainedModel.load(UPath(tmp_path), data).epochs == CONFIG.steps


def test_without_a_pair_to_search_on_what_is_measured_still_has_not_seen_the_test_period() -> None:
    """All of the training period is disliked, so that the holdout fit is the first one."""
    rows, signals = [(f"u{n % 4}", f"i{n}") for n in range(20)], [-1.0] * 16 + [1.0] * 4
    told: list[str] = []
    model = train(
        TrainingInputs(training_set(rows, signals)), CONFIG, seed=1, on_epoch=lambda name, _: told.append(name)
    )
    assert told == ["holdout"] * CONFIG.steps + ["release"] * CONFIG.steps
    other = train(TrainingInputs(training_set([*rows[:-2], ("u0", "i3"), ("u1", "i2")], signals)), CONFIG, seed=1)
    assert np.array_equal(other.holdout.items, model.holdout.items) and model.holdout.items.any()
    assert not np.array_equal(other.release.items, model.release.items)


def test_with_no_pair_left_before_the_test_nothing_is_measured_and_nothing_fails(tmp_path: Path) -> None:
    rows = [(f"u{n % 4}", f"i{n}") for n in range(20)]
    data = training_set(rows, [-1.0] * 18 + [1.0] * 2)
    assert data.split.evaluable and not len(data.before_test)
    model = train(TrainingInputs(data), CONFIG, seed=1)
    assert not model.holdout.users.any() and model.release.users.any()
    report = report_on(data, model, fit_item_models(data, seed=1), seed=1)
    assert (report.split.evaluated_users, report.models) == (0, {})
    model.save(UPath(tmp_path))
    assert np.array_equal(TrainedModel.load(UPath(tmp_path), data).release.items, model.release.items)


def test_arrays_of_a_fit_that_the_model_does_not_have_do_not_stay(model: TrainedModel, tmp_path: Path) -> None:
    model.save(UPath(tmp_path))
    replace(model, search=None).save(UPath(tmp_path))
    assert not list(tmp_path.glob("search_*"))


def test_cancelling_stops_every_fit(data: TrainingSet) -> None:
    with pytest.raises(TrainingCancelled):
        train(TrainingInputs(data), CONFIG, seed=1, should_stop=lambda: True)


def test_save_and_load_give_the_same_model(data: TrainingSet, model: TrainedModel, tmp_path: Path) -> None:
    model.save(UPath(tmp_path / "new"))
    loaded = TrainedModel.load(UPath(tmp_path / "new"), data)
    for name in ("config", "seed", "epochs", "seconds", "fingerprint", "history", "start", "users", "items", "split"):
        assert getattr(loaded, name) == getattr(model, name), name
    for name in ARRAYS:
        assert np.array_equal(array(loaded, name), array(model, name)), name
        assert array(loaded, name).dtype == np.float32
    assert len(list((tmp_path / "new").iterdir())) == 3 + len(ARRAYS)


def test_a_model_of_another_training_set_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    model.save(UPath(tmp_path))
    with pytest.raises(CorruptArtifact, match="another training set"):
        TrainedModel.load(UPath(tmp_path), training_set(ROWS[:-1]))


@pytest.mark.parametrize("name", ["model.json", *(f"{name}.npy" for name in ARRAYS)])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_damaged_file_is_refused(
    data: TrainingSet, model: TrainedModel, tmp_path: Path, name: str, damage: str
) -> None:
    model.save(UPath(tmp_path))
    path = tmp_path / name
    content = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "cut":
        path.write_bytes(content[:-20])
    elif damage == "other":
        path.write_bytes(b"{}" if name == "model.json" else content.replace(b"4)", b"2)"))
    with pytest.raises(CorruptArtifact, match=name.split(".")[0]):
        TrainedModel.load(UPath(tmp_path), data)


def test_an_array_of_another_size_is_refused(data: TrainingSet, model: TrainedModel, tmp_path: Path) -> None:
    model.save(UPath(tmp_path))
    np.save(tmp_path / "release_items.npy", model.release.items[:-1])
    with pytest.raises(CorruptArtifact, match=r"release_items\.npy does not belong"):
        TrainedModel.load(UPath(tmp_path), data)
