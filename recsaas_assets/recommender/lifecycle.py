"""The three fits behind a release, and how they are kept.

1. on train, stopping early on validation: finds the number of epochs;
2. on train and validation, for that many epochs: what the test period is measured against;
3. on everything, for that many epochs: what goes live.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from upath import UPath

from recsaas_assets.recommender.dataset import TrainingSet
from recsaas_assets.recommender.feature_tables import FeatureHistory, Part
from recsaas_assets.recommender.model_config import ModelConfig, fit_model, parse_config
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.trainer import EpochProgress, FitResult
from recsaas_assets.recommender.vectors import ModelVectors, Vectors
from resources.errors import CorruptArtifact
from resources.lake import read_bytes, read_json, write_bytes, write_json

OnEpoch = Callable[[str, EpochProgress], None]

SEARCH, HOLDOUT, RELEASE = "search", "holdout", "release"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Vectors of the holdout fit and of the release fit.

    The holdout fit has seen nothing of the test period; without a split both fits are the same.
    `history` is that of the search fit, the only one with validation figures.
    """

    config: ModelConfig
    seed: int
    epochs: int
    seconds: float
    fingerprint: str
    holdout: ModelVectors
    release: ModelVectors
    history: tuple[EpochProgress, ...]

    def save(self, directory: UPath) -> None:
        """Write the arrays, then `model.json`, each atomically."""
        for fit in (HOLDOUT, RELEASE):
            for name in ModelVectors.names():
                buffer = io.BytesIO()
                np.save(buffer, getattr(getattr(self, fit), name), allow_pickle=False)
                write_bytes(directory / f"{fit}_{name}.npy", buffer.getvalue())
        document: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "fingerprint": self.fingerprint,
            "history": [[e.epoch, e.total, e.loss, e.eta_seconds, e.metrics] for e in self.history],
        }
        write_json(directory / "model.json", document)

    @classmethod
    def load(cls, directory: UPath, training_set: TrainingSet) -> TrainedModel:
        """Read what `save` wrote.

        Raises:
            CorruptArtifact: a file is missing or damaged, or the model was fitted on another training set.
        """
        document = read_json(directory / "model.json")
        try:
            fingerprint = document["fingerprint"]
            described: dict[str, Any] = {
                "config": parse_config(document["config"]),
                "seed": document["seed"],
                "epochs": document["epochs"],
                "seconds": document["seconds"],
                "history": tuple(EpochProgress(*entry) for entry in document["history"]),
            }
        except (KeyError, TypeError, ValidationError) as error:
            raise CorruptArtifact("model.json is damaged; materialise lightgcn_model again.") from error
        if fingerprint != training_set.fingerprint:
            raise CorruptArtifact(
                "The model was trained on another training set than the one stored; materialise lightgcn_model again."
            )
        for fit in (HOLDOUT, RELEASE):
            described[fit] = _read_vectors(directory, fit, training_set, described["config"])
        return cls(fingerprint=fingerprint, **described)


def train(
    training_set: TrainingSet,
    config: ModelConfig,
    *,
    seed: int,
    features: FeatureHistory | None = None,
    on_epoch: OnEpoch | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainedModel:
    """Run the three fits; `on_epoch` is told the fit's name and its progress.

    `features` are for the model types that read them.

    Raises:
        InvalidInput: there is no pair to fit on.
        TrainingCancelled: `should_stop` said so.
    """

    def run(
        name: str,
        part: Part,
        *,
        validation: Pairs | None = None,
        stop_after: int | None = None,
    ) -> FitResult:
        return fit_model(
            config,
            training_set.parts[part],
            training_set.n_users,
            training_set.n_items,
            seed=seed,
            features=None if features is None else features.of(part),
            validation=validation,
            stop_after=stop_after,
            on_epoch=None if on_epoch is None else lambda progress: on_epoch(name, progress),
            should_stop=should_stop,
        )

    if not training_set.split.evaluable or len(training_set.train) == 0:
        search = holdout = release = run(RELEASE, "full")
        seconds = release.seconds
    else:
        search = run(SEARCH, "train", validation=training_set.validation)
        holdout = run(HOLDOUT, "before_test", stop_after=search.best_epoch)
        release = run(RELEASE, "full", stop_after=search.best_epoch)
        seconds = search.seconds + holdout.seconds + release.seconds
    return TrainedModel(
        config=config,
        seed=seed,
        epochs=search.best_epoch,
        seconds=seconds,
        fingerprint=training_set.fingerprint,
        holdout=holdout.vectors,
        release=release.vectors,
        history=search.history,
    )


def _read_vectors(directory: UPath, fit: str, training_set: TrainingSet, config: ModelConfig) -> ModelVectors:
    arrays = {name: _read_array(directory / f"{fit}_{name}.npy") for name in ModelVectors.names()}
    for name, array in arrays.items():
        rows = training_set.n_users if name in ModelVectors.OF_USERS else training_set.n_items
        width = config.dim if name in ("users", "items") else config.learned_dim
        if array.shape != (rows, width):
            raise CorruptArtifact(f"{fit}_{name}.npy does not belong to this model; materialise lightgcn_model again.")
    return ModelVectors(**arrays)


def _read_array(path: UPath) -> Vectors:
    try:
        array: Vectors = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise CorruptArtifact(f"{path.name} is missing or damaged; materialise lightgcn_model again.") from error
    return array
