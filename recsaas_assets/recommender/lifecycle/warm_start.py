"""Incremental training: the fits of a run start from the parameters of the run before, and take fewer steps.

A fit may only start from what has seen nothing later than itself, or the test period would leak into what is measured
on it: the search fit starts from the previous search fit, the holdout fit from the previous holdout fit, and so on. New
users start where fold-in puts them, new items where the previous fit's content regression has put them, or at random.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from upath import UPath

from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.dataset import TimeSplit, TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, parse_config
from resources.base.errors import CorruptArtifact, InvalidInput
from resources.storage.lake import read_bytes, read_json, read_parquet

MOST_IN_A_ROW = 20
"""After so many incremental runs the next one is full, whatever the settings say, so that errors do not add up."""
_STEP_SHARE, _RATE_SHARE = 4, 0.4

Initial = tuple[Vectors, Vectors]
PreviousFit = Literal["search", "holdout", "release"]


class StartReport(BaseModel):
    """The start of a run's fits, full or incremental, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["full", "incremental"] = "full"
    reason: str = "The settings ask for a full fit."
    runs_since_full: int = Field(default=0, ge=0)
    known_users: int = Field(default=0, ge=0)
    new_users: int = Field(default=0, ge=0)
    known_items: int = Field(default=0, ge=0)
    new_items: int = Field(default=0, ge=0)
    epochs: int = Field(default=0, ge=0)
    """Epochs that the fits of this run took; those of a full fit are in `TrainedModel.epochs`."""


@dataclass(frozen=True, slots=True, eq=False)
class StartVectors:
    """``users`` (n_users, t), ``items`` and ``fold_in`` (n_items, t) of one previous fit, see `ModelVectors`."""

    users: Vectors
    items: Vectors
    fold_in: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class PreviousModel:
    """The model of the run before, in its own rows, to start from. ``epochs`` are those of the last full fit."""

    config: ModelConfig
    epochs: int
    users: IdMap
    items: IdMap
    split: TimeSplit
    start: StartReport
    fits: dict[PreviousFit, StartVectors]

    @classmethod
    def load(cls, directory: UPath) -> PreviousModel | str:
        """Read it from where `TrainedModel.save` wrote it, or return the reason why there is none to start from."""
        if not (directory / "model.json").exists():
            return "There is no earlier model to start from."
        try:
            document = read_json(directory / "model.json")
            users = read_parquet(directory / "users.parquet")
            items = read_parquet(directory / "items.parquet")
            names: tuple[PreviousFit, ...] = ("search", "holdout", "release")
            return cls(
                config=parse_config(document["config"]),
                epochs=document["epochs"],
                users=IdMap.from_polars(users, id_column="user_id", row_column="user_row"),
                items=IdMap.from_polars(items, id_column="item_id", row_column="item_row"),
                split=TimeSplit.model_validate(document["split"]),
                start=StartReport.model_validate(document["start"]),
                fits={name: _read(directory, name) for name in names if name != "search" or document["search_is_kept"]},
            )
        except (KeyError, TypeError, ValueError, EOFError, FileNotFoundError, CorruptArtifact, InvalidInput):
            return "The earlier model is damaged or of another version of recsaas."

    def refusal(self, training_set: TrainingSet, config: ModelConfig) -> str:
        """The reason why a run cannot start from this model; empty when it can."""
        before, now = self.split, training_set.split
        if config.model_type != "lightgcn":
            return f"Models of type {config.model_type} always start anew."
        if self.config != config:
            return "The hyper-parameters are not those of the earlier model."
        if self.start.runs_since_full >= MOST_IN_A_ROW:
            return f"The last {MOST_IN_A_ROW} runs were incremental."
        if before.validation_start is None or before.test_start is None or "search" not in self.fits:
            return "The earlier model had too few interactions for a split by time."
        if now.validation_start is None or now.test_start is None:
            return "There are too few interactions for a split by time."
        if before.validation_start > now.validation_start or before.test_start > now.test_start:
            return "The earlier model has seen newer interactions than this run may; some were removed since."
        shapes = [(n_rows, config.learned_dim) for n_rows in (len(self.users), len(self.items), len(self.items))]
        if any([fit.users.shape, fit.items.shape, fit.fold_in.shape] != shapes for fit in self.fits.values()):
            return "The earlier model is damaged."
        if not all(fit.users.any() for fit in self.fits.values()):
            return "A fit of the earlier model had nothing to learn from."
        return ""

    def newest_before(self, cutoff: datetime | None) -> PreviousFit | None:
        """The fit on the most data among those that have seen nothing from ``cutoff`` on; None is no cutoff."""
        if cutoff is None:
            return "release"
        test_start, validation_start = self.split.test_start, self.split.validation_start
        if test_start is not None and test_start <= cutoff:
            return "holdout"
        return "search" if validation_start is not None and validation_start <= cutoff else None

    def initial(self, fit: PreviousFit, training_set: TrainingSet, pairs: Pairs) -> Initial:
        """E0 of users and items in the rows of ``training_set``; NaN, a random start, where nothing is known."""
        previous = self.fits[fit]
        user_rows = self.users.rows(list(training_set.users.ids))
        item_rows = self.items.rows(list(training_set.items.ids))
        users, items = _mapped(previous.users, user_rows), _mapped(previous.items, item_rows)
        fold_in = np.nan_to_num(_mapped(previous.fold_in, item_rows))
        matrix = pairs.csr(training_set.n_users, training_set.n_items)
        matrix.data[:] = 1
        folded = matrix @ fold_in
        length = np.linalg.norm(folded, axis=1, keepdims=True)
        new = np.isnan(users[:, 0]) & (length[:, 0] > 0)
        usual = np.linalg.norm(previous.users[previous.users.any(axis=1)], axis=1).mean()
        users[new] = folded[new] / length[new] * usual
        return users, items

    def report(self, training_set: TrainingSet) -> StartReport:
        """The report of a run that starts from this model."""
        known_users = int((self.users.rows(list(training_set.users.ids)) >= 0).sum())
        known_items = int((self.items.rows(list(training_set.items.ids)) >= 0).sum())
        return StartReport(
            mode="incremental",
            reason="The fits started from the model of the run before.",
            runs_since_full=self.start.runs_since_full + 1,
            known_users=known_users,
            new_users=training_set.n_users - known_users,
            known_items=known_items,
            new_items=training_set.n_items - known_items,
        )


def going_on_from(training_set: TrainingSet, previous: PreviousModel | str | None) -> ModelConfig | None:
    """The configuration of the model that a run goes on from if the settings still say the same; None: a full run."""
    if not isinstance(previous, PreviousModel) or previous.refusal(training_set, previous.config):
        return None
    return previous.config


def start_of(
    training_set: TrainingSet, config: ModelConfig, previous: PreviousModel | str | None
) -> tuple[StartReport, PreviousModel | None]:
    """The start of a run, and the model to start from when it is incremental; arguments as those of `train`."""
    if previous is None:
        return StartReport(), None
    reason = previous if isinstance(previous, str) else previous.refusal(training_set, config)
    if isinstance(previous, str) or reason:
        return StartReport(reason=f"A full fit, although the settings ask for an incremental one. {reason}"), None
    return previous.report(training_set), previous


def incremental(config: ModelConfig) -> ModelConfig:
    """``config`` with a quarter of the steps at two fifths of the learning rate, and as many looks at validation.

    Chosen on the validation periods of Online Retail and MovieLens-100K (docs/models.md, "Incremental training").
    """
    steps = max(1, config.steps // _STEP_SHARE)
    every = max(1, config.evaluate_every // _STEP_SHARE + 1)
    rate = config.learning_rate * _RATE_SHARE
    return config.model_copy(update={"steps": steps, "evaluate_every": every, "learning_rate": rate})


def _mapped(vectors: Vectors, rows: np.ndarray) -> Vectors:
    """The vectors of ``rows`` (n,), NaN where the row is −1 or its vector was never learned."""
    out = np.full((len(rows), vectors.shape[1]), np.nan, dtype=np.float32)
    known = rows >= 0
    known[known] = vectors[rows[known]].any(axis=1)
    out[known] = vectors[rows[known]]
    return out


def _read(directory: UPath, fit: str) -> StartVectors:
    names = ("start_users", "start_items", "fold_in")
    arrays = (np.load(io.BytesIO(read_bytes(directory / f"{fit}_{name}.npy")), allow_pickle=False) for name in names)
    return StartVectors(*arrays)
