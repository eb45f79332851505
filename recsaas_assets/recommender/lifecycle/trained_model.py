"""The fits behind a release, and how they are kept.

1. on train, stopping early on validation: finds the number of epochs;
2. on train and validation, for that many epochs: what is measured on the test period;
3. on everything, for that many epochs: what goes live;
4. on what the live release could have seen, when enough has happened since: what the gate compares with that release.

A fit whose part of the split holds no pair (dislikes can remove all of them) is left out; the later ones take over.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from upath import UPath

from recsaas_assets.recommender.choice.report import ChoiceReport
from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.dataset import TimeSplit, TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle.cold_items import ContentChoice
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, parse_config
from recsaas_assets.recommender.lifecycle.warm_start import StartReport
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress
from resources.base.errors import CorruptArtifact
from resources.release.sequence_encoder import SequenceEncoder
from resources.storage.lake import read_bytes, read_json, write_bytes, write_json, write_parquet

Described = TypeVar("Described", bound=BaseModel)
SEARCH, HOLDOUT, RELEASE, BEFORE_LIVE = "search", "holdout", "release", "before_live"
_ENCODER = "release_encoder.npz"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Vectors of the holdout fit and of the release fit.

    The holdout fit has seen nothing of the test period. Where there is no split, or no pair before the test period, it
    has seen nothing at all, and its vectors are zeros. `before_live` is None unless the training set holds enough that
    is newer than the live release. `history` is that of the first fit; only the search fit has validation figures.

    `epochs` are those of a full fit, also when this run was incremental: with `config` and `seed` they are the recipe
    that leads to a model like this one from nothing. `cold_items` says what items without interactions got their
    vectors from, None when there was none, or too little to choose on.
    """

    config: ModelConfig
    seed: int
    epochs: int
    seconds: float
    fingerprint: str
    holdout: ModelVectors
    release: ModelVectors
    history: tuple[EpochProgress, ...]
    before_live: ModelVectors | None = None
    live_fingerprint: str = ""
    """Which live release `before_live` belongs to."""
    search: ModelVectors | None = None
    """None without a split. A second stage learns from what this fit answers to the users of the validation period."""
    start: StartReport = field(default_factory=StartReport)
    choice: ChoiceReport | None = None
    """How the configuration was chosen; None where there was nothing to choose."""
    encoder: SequenceEncoder | None = None
    """Of the release fit of a sequence model: it makes vectors of users for whom there are newer events."""
    cold_items: ContentChoice | None = None
    users: IdMap = field(default_factory=lambda: IdMap(()))
    items: IdMap = field(default_factory=lambda: IdMap(()))
    split: TimeSplit = field(default_factory=lambda: TimeSplit(evaluable=False))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the recipe, the training set and every vector that is measured or released."""
        digest = hashlib.sha256(self.config.model_dump_json().encode())
        digest.update(f";{self.seed};{self.epochs};{self.fingerprint};{self.live_fingerprint}".encode())
        for vectors in (self.holdout, self.release, self.before_live):
            for name in ("users", "items", "fold_in") if vectors is not None else ():
                digest.update(getattr(vectors, name).tobytes())
        if self.encoder is not None:
            digest.update(self.encoder.to_bytes())
        return digest.hexdigest()

    def save(self, directory: UPath) -> None:
        """Write the arrays and the ids, then `model.json`, each atomically.

        An older `model.json` goes first, so that it never describes arrays of another fit, and arrays of a fit that
        this model does not have go, too.
        """
        (directory / "model.json").unlink(missing_ok=True)
        write_parquet(directory / "users.parquet", self.users.to_polars(id_column="user_id", row_column="user_row"))
        write_parquet(directory / "items.parquet", self.items.to_polars(id_column="item_id", row_column="item_row"))
        for fit in (HOLDOUT, RELEASE, BEFORE_LIVE, SEARCH):
            vectors: ModelVectors | None = getattr(self, fit)
            for name in ModelVectors.names():
                path = directory / f"{fit}_{name}.npy"
                if vectors is None:
                    path.unlink(missing_ok=True)
                    continue
                buffer = io.BytesIO()
                np.save(buffer, getattr(vectors, name), allow_pickle=False)
                write_bytes(path, buffer.getvalue())
        (directory / _ENCODER).unlink(missing_ok=True)
        if self.encoder is not None:  # nothing answers live events but the release fit
            write_bytes(directory / _ENCODER, self.encoder.to_bytes())
        document: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "fingerprint": self.fingerprint,
            "live_fingerprint": self.live_fingerprint if self.before_live is not None else "",
            "search_is_kept": self.search is not None,
            "start": self.start.model_dump(mode="json"),
            "choice": self.choice and self.choice.model_dump(mode="json"),
            "cold_items": None if self.cold_items is None else self.cold_items.model_dump(mode="json"),
            "split": self.split.model_dump(mode="json"),
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
                "start": StartReport.model_validate(document["start"]),
                "choice": _optional(ChoiceReport, document.get("choice")),
                "cold_items": _optional(ContentChoice, document.get("cold_items")),
            }
        except (KeyError, TypeError, ValidationError) as error:
            raise CorruptArtifact("model.json is damaged; materialise the model again.") from error
        if fingerprint != training_set.fingerprint:
            raise CorruptArtifact(
                "The model was trained on another training set than the one stored; materialise the model again."
            )
        kept = document.get("live_fingerprint", "")
        with_live = bool(kept) and kept == training_set.live_fingerprint
        optional = {BEFORE_LIVE: with_live, SEARCH: document.get("search_is_kept", False)}
        for fit in (HOLDOUT, RELEASE, *(name for name, is_kept in optional.items() if is_kept)):
            described[fit] = _read_vectors(directory, fit, training_set, described["config"])
        if described["config"].model_type == "sequence":
            described["encoder"] = _read_encoder(directory, described["config"])
        return cls(
            fingerprint=fingerprint,
            live_fingerprint=kept if with_live else "",
            users=training_set.users,
            items=training_set.items,
            split=training_set.split,
            **described,
        )


def _optional(kind: type[Described], document: object) -> Described | None:
    return None if document is None else kind.model_validate(document)


def _read_vectors(directory: UPath, fit: str, training_set: TrainingSet, config: ModelConfig) -> ModelVectors:
    arrays = {name: _read_array(directory / f"{fit}_{name}.npy") for name in ModelVectors.names()}
    for name, array in arrays.items():
        rows = training_set.n_users if name in ModelVectors.OF_USERS else training_set.n_items
        width = config.dim if name in ("users", "items") else config.learned_dim
        if array.shape != (rows, width):
            raise CorruptArtifact(f"{fit}_{name}.npy does not belong to this model; materialise the model again.")
    return ModelVectors(**arrays)


def _read_encoder(directory: UPath, config: ModelConfig) -> SequenceEncoder:
    try:
        data = read_bytes(directory / _ENCODER)
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{_ENCODER} is missing; materialise the model again.") from error
    return SequenceEncoder.from_bytes(data, width=config.learned_dim)


def _read_array(path: UPath) -> Vectors:
    try:
        array: Vectors = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise CorruptArtifact(f"{path.name} is missing or damaged; materialise the model again.") from error
    return array
