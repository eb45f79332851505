"""One door to every model type: its configuration, its defaults, and its fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from recsaas_assets.recommender.config import LightGCNConfig
from recsaas_assets.recommender.feature_tables import Features
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.trainer import EpochProgress, FitResult, fit

ModelConfig = LightGCNConfig
"""Configuration of any model type; `model_type` tells which."""


def parse_config(fields: Any) -> ModelConfig:
    """Read what ``model_dump`` wrote. Raises pydantic's ValidationError."""
    return TypeAdapter(ModelConfig).validate_python(fields)


def fit_model(
    config: ModelConfig,
    pairs: Pairs,
    n_users: int,
    n_items: int,
    *,
    seed: int,
    features: Features | None = None,
    validation: Pairs | None = None,
    stop_after: int | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit the model that ``config`` describes; the arguments are those of `trainer.fit`."""
    return fit(
        pairs,
        n_users,
        n_items,
        config,
        seed=seed,
        validation=validation,
        stop_after=stop_after,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
