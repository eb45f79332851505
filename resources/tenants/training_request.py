"""What somebody asks one run for: which model, which hyper-parameters, whether it may go live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from resources.tenants.settings import ModelType, TrainingSettings

TrainingMode = Literal["full", "incremental"]


class TrainingKind(StrEnum):
    """`reindex` builds index and release of the newest trained model anew, and trains nothing."""

    TRAIN = "train"
    REINDEX = "reindex"


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """Holds for one run, above the tenant's settings; None leaves a setting as it is.

    `hyperparameters` have our own names. Without `auto_deploy` the release is written and does not go live.
    """

    kind: TrainingKind
    model_type: ModelType | None = None
    hyperparameters: Mapping[str, JsonValue] = field(default_factory=dict)
    mode: TrainingMode | None = None
    auto_deploy: bool = True

    def over(self, settings: TrainingSettings) -> TrainingSettings:
        """The settings that the run trains with.

        The tenant's hyper-parameters are those of its own model type, and say nothing to another one. A run with values
        of its own searches for none: what a search finds beside them would replace what it found for the tenant.
        """
        model_type = self.model_type or settings.model_type
        kept = settings.hyperparameters if model_type == settings.model_type else {}
        own = bool(self.hyperparameters) or model_type != settings.model_type
        return settings.model_copy(
            update={
                "model_type": model_type,
                "hyperparameters": {**kept, **self.hyperparameters},
                "mode": self.mode or settings.mode,
                "search": settings.search and not own,
            }
        )
