"""Trials and result of a search for hyper-parameters, as they are stored."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from upath import UPath

from resources.base.errors import CorruptArtifact
from resources.storage.lake import read_json, write_json
from resources.tenants.settings import ModelType

_SIMILAR = 2.0


def study_file(model_type: str) -> str:
    """Name of the file with the trials of this model type; each has its own, so that switching loses none."""
    return f"study-{model_type}.json"


def best_file(model_type: str) -> str:
    """Name of the file with what was found for this model type."""
    return f"best-{model_type}.json"


class Trial(BaseModel):
    """One configuration that was fitted on the training part and measured on the validation part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """0 is the configuration that the search started from."""
    state: Literal["finished", "pruned", "failed"]
    """pruned: given up half-way, as it was worse than most; failed: its numbers left the range of float32."""
    hyperparameters: dict[str, JsonValue]
    """Values of the names that were searched."""
    ndcg_at_10: float | None
    """On validation, at its best epoch, the mean of that look and the one before; null unless finished."""
    looks: tuple[tuple[int, float], ...]
    """Epoch and validation NDCG@10 of every look."""
    epochs: int
    seconds: float


class Question(BaseModel):
    """The inputs of a study; trials made from other inputs are no help."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    config: dict[str, JsonValue]
    """The whole configuration the search starts from."""
    searched: tuple[str, ...]
    seed: int

    @property
    def model_type(self) -> str:
        """Model type of the configuration."""
        return str(self.config["model_type"])


class TrialComparison(BaseModel):
    """Whether a trial is clearly ahead of trial 0, user by user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: int
    clear: bool


class Study(BaseModel):
    """Everything tried so far. Written after every trial, so that a killed search goes on where it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Question
    trials: tuple[Trial, ...] = ()
    verdict: TrialComparison | None = None
    """On the best trial when it was last looked at; kept, as it takes two fits."""

    @property
    def seconds(self) -> float:
        """Seconds of all trials together."""
        return sum(trial.seconds for trial in self.trials)

    def best(self) -> Trial:
        """The trial with the highest validation NDCG@10; of equals the first, so that defaults win a draw."""
        return max(self.trials, key=lambda trial: -1.0 if trial.ndcg_at_10 is None else trial.ndcg_at_10)

    def save(self, directory: UPath) -> None:
        """Write the study of its model type, atomically."""
        write_json(directory / study_file(self.question.model_type), self.model_dump(mode="json"))

    @classmethod
    def load(cls, directory: UPath, question: Question) -> Study:
        """The stored study of this question, or an empty one; an unreadable or another one is started anew."""
        try:
            stored = cls.model_validate(read_json(directory / study_file(question.model_type)))
        except (CorruptArtifact, ValidationError):
            return cls(question=question)
        return stored if stored.question == question else cls(question=question)


class SearchResult(BaseModel):
    """The hyper-parameters that a search found, for the runs that follow it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: ModelType
    hyperparameters: dict[str, JsonValue]
    """Replace the defaults; empty when nothing was clearly better than what the search started from."""
    fixed: dict[str, JsonValue]
    """The tenant's own hyper-parameters at that time, which were not searched."""
    ndcg_at_10: float
    """Of these, on validation."""
    best_seen_ndcg_at_10: float
    """Of the best trial, whether it was clearly ahead or not."""
    default_ndcg_at_10: float
    """Of the configuration that the search started from."""
    trials: int
    seconds: float
    ended_by: Literal["trials", "minutes"]
    seed: int
    fingerprint: str
    n_users: int
    n_items: int
    n_pairs: int

    def suits(self, model_type: ModelType, n_pairs: int) -> bool:
        """Whether it is worth using: same model type, and at most twice or at least half the pairs of then."""
        similar = self.n_pairs / _SIMILAR <= n_pairs <= self.n_pairs * _SIMILAR
        return self.model_type == model_type and similar

    def save(self, directory: UPath) -> None:
        """Write the result of its model type, atomically."""
        write_json(directory / best_file(self.model_type), self.model_dump(mode="json"))

    @classmethod
    def load(cls, directory: UPath, model_type: ModelType) -> SearchResult | None:
        """The stored result of this model type, or None.

        Raises:
            CorruptArtifact: the file is not what a search wrote.
        """
        path = directory / best_file(model_type)
        if not path.exists():
            return None
        try:
            return cls.model_validate(read_json(path))
        except (CorruptArtifact, ValidationError) as error:
            raise CorruptArtifact(
                f"{path.name} is not the result of a search of this version. Search again, or drop it: "
                "recsaas tune TENANT --forget"
            ) from error


def forget(directory: UPath) -> bool:
    """Remove what searches left, of every model type; whether there was anything."""
    names = [name(model_type) for model_type in get_args(ModelType) for name in (best_file, study_file)]
    found = [path for path in (directory / name for name in names) if path.exists()]
    for path in found:
        path.unlink()
    return bool(found)
