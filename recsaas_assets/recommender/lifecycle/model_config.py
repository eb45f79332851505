"""Configuration, defaults and fit of every model type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from recsaas_assets.recommender.data.feature_tables import Features
from recsaas_assets.recommender.data_parallel.parallel_job import ParallelFit
from recsaas_assets.recommender.data_parallel.processes import fit_in_processes, processes_for
from recsaas_assets.recommender.fitting.compute import Compute
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, fit
from recsaas_assets.recommender.sequence.config import sequence_defaults
from recsaas_assets.recommender.sequence.trainer import fit_sequence
from recsaas_assets.recommender.two_tower.config import two_tower_defaults
from recsaas_assets.recommender.two_tower.trainer import fit_two_tower
from resources.tenants.model_configs import LightGCNConfig, SequenceConfig, TwoTowerConfig
from resources.tenants.settings import ModelType

ModelConfig = Annotated[LightGCNConfig | TwoTowerConfig | SequenceConfig, Field(discriminator="model_type")]
"""Configuration of any model type; `model_type` tells which."""


def parse_config(fields: Any) -> ModelConfig:
    """Read what ``model_dump`` wrote. Raises pydantic's ValidationError."""
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python(fields)
    return config


def default_config(model_type: ModelType, n_users: int, n_items: int, n_pairs: int) -> ModelConfig:
    """The configuration that a tenant of this size starts from."""
    if model_type == "two_tower":
        return two_tower_defaults(n_users, n_items, n_pairs)
    if model_type == "sequence":
        return sequence_defaults(n_users, n_items, n_pairs)
    return defaults_for(n_users, n_items, n_pairs)


def fit_model(
    inputs: FitInputs,
    config: ModelConfig,
    *,
    features: Features | None = None,
    compute: Compute | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit the model that ``config`` describes; the arguments and errors are those of `trainer.fit`.

    Only LightGCN heeds ``compute``, and only the two-tower model ``features``.
    """
    if isinstance(config, TwoTowerConfig):
        return fit_two_tower(inputs, config, features=features, on_epoch=on_epoch, should_stop=should_stop)
    if isinstance(config, SequenceConfig):
        return fit_sequence(inputs, config, on_epoch=on_epoch, should_stop=should_stop)
    compute = compute or Compute()
    processes = processes_for(config, len(inputs.pairs), compute.processes)
    if processes > 1:
        job = ParallelFit(inputs, config, compute.device)
        return fit_in_processes(job, processes, scratch=compute.scratch, on_epoch=on_epoch, should_stop=should_stop)
    return fit(
        inputs,
        config,
        device=compute.device,
        checkpoint=compute.checkpoint,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
