"""Incremental runs: what they start from, when they may, and that they come out alike."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle import train as lifecycle
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.warm_start import MOST_IN_A_ROW, PreviousModel, incremental
from resources.tenants.model_configs import LightGCNConfig

START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = LightGCNConfig(dim=4, steps=24, negatives=8, evaluate_every=4, learning_rate=0.1)


def training_set(n: int, *, users: int = 12) -> TrainingSet:
    """The first ``n`` of a fixed stream of interactions, one an hour, of two communities; users join one by one."""
    rng = np.random.default_rng(0)
    rows = []
    for hour in range(n):
        user = int(rng.integers(0, min(users, 2 + hour // 8)))
        rows.append((f"u{user}", f"i{2 * int(rng.integers(0, 6)) + user % 2}", START + timedelta(hours=hour)))
    frame = pl.DataFrame(
        rows, schema={"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Datetime("us", "UTC")}, orient="row"
    )
    signals = frame.with_columns(interaction_type=pl.lit("view"), signal=pl.lit(1.0))
    return build_training_set(signals, pl.Series("item_id", ["i0"]), 10)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> UPath:
    folder = UPath(tmp_path_factory.mktemp("model"))
    train(TrainingInputs(training_set(60)), CONFIG, seed=1).save(folder)
    return folder


def load(folder: UPath) -> PreviousModel:
    previous = PreviousModel.load(folder)
    assert isinstance(previous, PreviousModel)
    return previous


def test_a_run_goes_on_with_fewer_steps_and_says_so(earlier: UPath) -> None:
    data, previous = training_set(80), load(earlier)
    epochs: dict[str, int] = {}
    model = train(
        TrainingInputs(data, previous=previous),
        CONFIG,
        seed=1,
        on_epoch=lambda fit, each: epochs.update({fit: each.epoch}),
    )
    assert model.start.mode == "incremental"
    assert model.start.known_users == len(previous.users) and model.start.new_users == data.n_users - len(
        previous.users
    )
    assert model.start.new_users > 0
    assert set(epochs) == {"search", "holdout", "release"}
    assert max(epochs.values()) <= CONFIG.steps // 4
    assert model.epochs == previous.epochs  # the recipe of a full fit
    assert model.config == CONFIG
    assert np.isfinite(model.release.items).all() and np.isfinite(model.release.users).all()


def test_a_fit_starts_from_the_vectors_of_the_same_ids(earlier: UPath) -> None:
    data, previous = training_set(80), load(earlier)
    users, items = previous.initial("release", data, data.full)
    for row, name in enumerate(data.users.ids):
        if name in previous.users.ids:
            assert np.array_equal(users[row], previous.fits["release"].users[previous.users.ids.index(name)])
        else:  # folded in, as long as the others are on average
            assert np.isfinite(users[row]).all() and np.linalg.norm(users[row]) > 0
    for row, name in enumerate(data.items.ids):
        if name in previous.items.ids:
            before = previous.fits["release"].items[previous.items.ids.index(name)]
            assert np.array_equal(items[row], before) or (not before.any() and np.isnan(items[row]).all())


def test_what_is_measured_has_not_seen_the_test_period_through_its_start(earlier: UPath) -> None:
    """Other vectors of the previous release fit, which has seen everything: the holdout fit stays as it is."""
    data, previous = training_set(80), load(earlier)
    model = train(TrainingInputs(data, previous=previous), CONFIG, seed=1)
    previous.fits["release"].items[:] = 1
    previous.fits["release"].users[:] = 1
    other = train(TrainingInputs(data, previous=previous), CONFIG, seed=1)
    assert np.array_equal(other.holdout.items, model.holdout.items)
    assert np.array_equal(other.search.items, model.search.items)  # type: ignore[union-attr]
    assert not np.array_equal(other.release.items, model.release.items)


def test_a_fit_takes_the_newest_start_that_saw_nothing_later(earlier: UPath) -> None:
    previous = load(earlier)
    test_start, validation_start = previous.split.test_start, previous.split.validation_start
    assert test_start is not None and validation_start is not None
    second = timedelta(seconds=1)
    assert previous.newest_before(None) == "release"
    assert previous.newest_before(test_start) == "holdout"
    assert previous.newest_before(test_start - second) == "search"
    assert previous.newest_before(validation_start - second) is None


def test_the_same_start_gives_the_same_model(earlier: UPath) -> None:
    one, two = (train(TrainingInputs(training_set(80), previous=load(earlier)), CONFIG, seed=1) for _ in range(2))
    assert np.array_equal(one.release.users, two.release.users)


@pytest.mark.parametrize(
    ("n", "config", "reason"),
    [
        (80, {"temperature": 0.3}, "hyper-parameters are not those"),
        (40, {}, "seen newer interactions"),
        (1, {}, "too few interactions"),
    ],
)
def test_where_it_cannot_a_run_is_full_and_says_why(
    earlier: UPath, n: int, config: dict[str, Any], reason: str
) -> None:
    changed = CONFIG.model_copy(update=config)
    data = training_set(n)
    model = train(TrainingInputs(data, previous=PreviousModel.load(earlier)), changed, seed=1)
    assert model.start.mode == "full"
    assert reason in model.start.reason
    assert np.array_equal(model.release.items, train(TrainingInputs(data), changed, seed=1).release.items)


def test_without_an_earlier_model_a_run_is_full(tmp_path: Path) -> None:
    model = train(TrainingInputs(training_set(40), previous=PreviousModel.load(UPath(tmp_path))), CONFIG, seed=1)
    assert (model.start.mode, model.start.runs_since_full) == ("full", 0)
    assert "no earlier model" in model.start.reason


@pytest.mark.parametrize("name", ["model.json", "users.parquet", "search_start_users.npy", "release_fold_in.npy"])
def test_a_damaged_earlier_model_is_no_start(tmp_path: Path, name: str) -> None:
    train(TrainingInputs(training_set(40)), CONFIG, seed=1).save(UPath(tmp_path))
    (tmp_path / name).write_bytes(b"{}" if name.endswith("json") else b"")
    assert isinstance(PreviousModel.load(UPath(tmp_path)), str)


@pytest.mark.parametrize(("runs", "mode"), [(MOST_IN_A_ROW - 1, "incremental"), (MOST_IN_A_ROW, "full")])
def test_errors_do_not_add_up_for_ever(earlier: UPath, runs: int, mode: str) -> None:
    previous = load(earlier)
    previous = replace(previous, start=previous.start.model_copy(update={"runs_since_full": runs}))
    start = train(TrainingInputs(training_set(80), previous=previous), CONFIG, seed=1).start
    assert (start.mode, start.runs_since_full) == (mode, MOST_IN_A_ROW if mode == "incremental" else 0)


def test_a_run_that_cannot_go_on_chooses_its_configuration_anew(
    earlier: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def settled(config: LightGCNConfig, *_: object, previous: object, **__: object) -> tuple[LightGCNConfig, None]:
        asked.append(previous)
        return config, None

    monkeypatch.setattr(lifecycle, "adapted", settled)
    previous = load(earlier)
    tired = replace(previous, start=previous.start.model_copy(update={"runs_since_full": MOST_IN_A_ROW}))
    for each in (previous, tired):
        train(TrainingInputs(training_set(80), previous=each), CONFIG, seed=1)
    assert asked == [CONFIG, None]


@pytest.mark.parametrize("field", ["users", "items", "fold_in"])
def test_arrays_of_another_size_are_no_start(earlier: UPath, field: str) -> None:
    previous = load(earlier)
    release = previous.fits["release"]
    previous.fits["release"] = replace(release, **{field: getattr(release, field)[:-1]})
    assert "damaged" in previous.refusal(training_set(80), CONFIG)


def test_a_fit_that_had_nothing_to_learn_from_is_no_start(tmp_path: Path) -> None:
    data = training_set(60)
    model = train(TrainingInputs(data), CONFIG, seed=1)
    nothing = ModelVectors.nothing(data.n_users, data.n_items, dim=CONFIG.dim, learned_dim=CONFIG.learned_dim)
    replace(model, holdout=nothing).save(UPath(tmp_path))
    assert "nothing to learn from" in load(UPath(tmp_path)).refusal(training_set(80), CONFIG)


def test_whether_there_was_a_search_is_said_by_the_model_and_not_by_files(tmp_path: Path) -> None:
    train(TrainingInputs(training_set(60)), CONFIG, seed=1).save(UPath(tmp_path))
    document = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**document, "search_is_kept": False}))
    assert set(load(UPath(tmp_path)).fits) == {"holdout", "release"}


def test_an_incremental_model_is_itself_a_start(earlier: UPath, tmp_path: Path) -> None:
    first = train(TrainingInputs(training_set(80), previous=load(earlier)), CONFIG, seed=1)
    first.save(UPath(tmp_path))
    second = train(TrainingInputs(training_set(90), previous=PreviousModel.load(UPath(tmp_path))), CONFIG, seed=1)
    assert (first.start.runs_since_full, second.start.runs_since_full) == (1, 2)
    assert second.epochs == first.epochs


def test_the_short_schedule_of_a_short_one_still_looks_and_steps() -> None:
    short = incremental(CONFIG.model_copy(update={"steps": 1, "evaluate_every": 1}))
    assert (short.steps, short.evaluate_every) == (1, 1)
