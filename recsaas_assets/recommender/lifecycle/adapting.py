"""The configuration that a run trains with: as it is asked for, as the run before had it, or chosen on validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recsaas_assets.recommender.choice.candidates import ADAPTED_FIELDS
from recsaas_assets.recommender.choice.choosing import choose_config
from recsaas_assets.recommender.choice.report import ChoiceReport
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig
from resources.tenants.model_configs import LightGCNConfig


def adapted(
    config: ModelConfig,
    training_set: TrainingSet,
    *,
    seed: int,
    previous: ModelConfig | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[ModelConfig, ChoiceReport | None]:
    """`config` itself, or what the validation period chooses in its place, and how it was chosen.

    A training that goes on from a model fitted with `previous` keeps what was chosen then. Models whose configuration
    does not ask for it (`adapt`) are left as they are; what is returned asks no more. There is a report where
    something was compared.

    Raises:
        TrainingCancelled: `should_stop` said so.
    """
    if not isinstance(config, LightGCNConfig) or not config.adapt:
        return config, None
    unadapted = config.model_copy(update={"adapt": False})
    if isinstance(previous, LightGCNConfig) and _apart_from_choices(previous) == _apart_from_choices(unadapted):
        return previous, None
    if config.loss != "softmax":
        return unadapted, None
    choice = choose_config(unadapted, training_set, seed=seed, should_stop=should_stop)
    return choice.config, choice.report


def _apart_from_choices(config: LightGCNConfig) -> dict[str, Any]:
    return config.model_dump(exclude=set(ADAPTED_FIELDS))
