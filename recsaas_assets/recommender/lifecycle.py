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
import numpy.typing as npt
from pydantic import ValidationError
from upath import UPath

from recsaas_assets.recommender.config import LightGCNConfig
from recsaas_assets.recommender.dataset import TrainingSet
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.trainer import EpochProgress, FitResult, fit
from resources.errors import CorruptArtifact
from resources.lake import read_bytes, read_json, write_bytes, write_json

Vectors = npt.NDArray[np.float32]
OnEpoch = Callable[[str, EpochProgress], None]

SEARCH, HOLDOUT, RELEASE = "search", "holdout", "release"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Vectors of the holdout fit and of the release fit, float32 `(n_users, d)` and `(n_items, d)`.

    The holdout fit has seen nothing of the test period; without a split both fits are the same.
    `history` is that of the search fit, the only one with validation figures.
    """

    config: LightGCNConfig
    seed: int
    epochs: int
    seconds: float
    fingerprint: str
    holdout_users: Vectors
    holdout_items: Vectors
    release_users: Vectors
    release_items: Vectors
    history: tuple[EpochProgress, ...]

    def save(self, directory: UPath) -> None:
        """Write the arrays, then `model.json`, each atomically."""
        for name in _ARRAYS:
            buffer = io.BytesIO()
            np.save(buffer, getattr(self, name), allow_pickle=False)
            write_bytes(directory / f"{name}.npy", buffer.getvalue())
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
                "config": LightGCNConfig.model_validate(document["config"]),
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
        for name in _ARRAYS:
            array = described[name] = _read_array(directory / f"{name}.npy")
            rows = training_set.n_users if name.endswith("users") else training_set.n_items
            if array.shape != (rows, described["config"].dim):
                raise CorruptArtifact(f"{name}.npy does not belong to this model; materialise lightgcn_model again.")
        return cls(fingerprint=fingerprint, **described)


_ARRAYS = ("holdout_users", "holdout_items", "release_users", "release_items")


def train(
    training_set: TrainingSet,
    config: LightGCNConfig,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainedModel:
    """Run the three fits; `on_epoch` is told the fit's name and its progress.

    Raises:
        InvalidInput: there is no pair to fit on.
        TrainingCancelled: `should_stop` said so.
    """

    def run(name: str, pairs: Pairs, *, validation: Pairs | None = None, stop_after: int | None = None) -> FitResult:
        return fit(
            pairs,
            training_set.n_users,
            training_set.n_items,
            config,
            seed=seed,
            validation=validation,
            stop_after=stop_after,
            on_epoch=None if on_epoch is None else lambda progress: on_epoch(name, progress),
            should_stop=should_stop,
        )

    if not training_set.split.evaluable or len(training_set.train) == 0:
        search = holdout = release = run(RELEASE, training_set.full)
        seconds = release.seconds
    else:
        search = run(SEARCH, training_set.train, validation=training_set.validation)
        holdout = run(HOLDOUT, training_set.before_test, stop_after=search.best_epoch)
        release = run(RELEASE, training_set.full, stop_after=search.best_epoch)
        seconds = search.seconds + holdout.seconds + release.seconds
    return TrainedModel(
        config=config,
        seed=seed,
        epochs=search.best_epoch,
        seconds=seconds,
        fingerprint=training_set.fingerprint,
        holdout_users=holdout.user_vectors,
        holdout_items=holdout.item_vectors,
        release_users=release.user_vectors,
        release_items=release.item_vectors,
        history=search.history,
    )


def _read_array(path: UPath) -> Vectors:
    try:
        array: Vectors = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise CorruptArtifact(f"{path.name} is missing or damaged; materialise lightgcn_model again.") from error
    return array
