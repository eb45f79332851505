"""The choice between a few configurations to start a tenant's training from: on its validation period, in seconds.

Two shops of one size may need opposite settings: in one the season decides what sells, in the other lasting taste. A
short fit of each preset, read out in several ways, tells them apart before the first full fit. Anything other than the
defaults must be ahead of them by more than luck explains, so that a small shop stays with the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from recsaas_assets.recommender.data.arrays import Values, Vectors
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig
from recsaas_assets.recommender.lifecycle.validation_users import ValidationUsers, clearly_ahead
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.trainer import fit
from resources.tenants.model_configs import LightGCNConfig

STEADY: dict[str, Any] = {
    "layer_weights": (0.0, 0.3, 0.7),
    "temperature": 0.3,
    "negative_exponent": 0.5,
    "half_life_days": 120.0,
    "edge_weight": "binary",
    "user_exponent": 0.75,
    "item_readout_exponent": 0.5,
    "popularity_weight": 0.3,
    "popularity_half_life_days": 60.0,
}
"""For a shop whose customers keep their tastes: smoother embeddings, old pairs count, popularity of all times."""

READOUT_EXPONENTS = (0.5, 1.0)
POPULARITY_WEIGHTS = (0.15, 0.3, 0.45, 0.7)
POPULARITY_HALF_LIVES = (2.0, 5.0, 20.0, 60.0)
ADAPTED_FIELDS = frozenset(STEADY)
"""What `adapted` may change; a tenant who sets one of these by hand wants no choosing."""

_STEPS = 20
_NEGATIVES = 256
_USERS = 500
_MIN_USERS = 30


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    config: LightGCNConfig
    ndcg: Values


def adapted(
    config: ModelConfig,
    training_set: TrainingSet,
    *,
    seed: int,
    previous: ModelConfig | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ModelConfig:
    """`config` itself, or the preset and readout that is ahead of it on the validation period.

    "Ahead" is a mean difference in NDCG@10, user by user, of more than three standard errors: some sixty are compared.
    A training that goes on from a model fitted with `previous` keeps what was chosen then. Models whose configuration
    does not ask for it (`adapt`) are left as they are; what is returned asks no more.

    Raises:
        TrainingCancelled: `should_stop` said so.
    """
    if not isinstance(config, LightGCNConfig) or not config.adapt:
        return config
    unadapted = config.model_copy(update={"adapt": False})
    if isinstance(previous, LightGCNConfig) and _apart_from_choices(previous) == _apart_from_choices(unadapted):
        return previous
    if config.loss != "softmax" or config.popularity_weight == 0:
        return unadapted
    later = ValidationUsers.of(training_set, seed, limit=_USERS)
    if len(later.users) < _MIN_USERS:
        return unadapted
    inputs = FitInputs(training_set.train, training_set.n_users, training_set.n_items, seed, stop_after=_STEPS)
    trials = []
    for preset in (unadapted, unadapted.model_copy(update=STEADY)):
        # Item vectors as they are, without exponent: every readout can be made from them.
        plain = preset.model_copy(update={"item_readout_exponent": 0.0, "negatives": min(preset.negatives, _NEGATIVES)})
        found = fit(inputs, plain, should_stop=should_stop)
        users, items = (_learned(vectors, plain) for vectors in (found.vectors.users, found.vectors.items))
        for option in _readouts(preset):
            readout = Readout.of(training_set.train, training_set.n_items, option)
            trials.append(_Trial(option, later.ndcg_at_10(*readout(users, items))))
    return _ahead(trials).config


def _apart_from_choices(config: LightGCNConfig) -> dict[str, Any]:
    return config.model_dump(exclude=set(ADAPTED_FIELDS))


def _readouts(preset: LightGCNConfig) -> Iterator[LightGCNConfig]:
    """The preset, then the same with every other readout."""
    yield preset
    for exponent, weight, half_life in product(READOUT_EXPONENTS, POPULARITY_WEIGHTS, POPULARITY_HALF_LIVES):
        yield preset.model_copy(
            update={
                "item_readout_exponent": exponent,
                "popularity_weight": weight,
                "popularity_half_life_days": half_life,
            }
        )


def _learned(vectors: Vectors, config: LightGCNConfig) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors[:, : config.learned_dim]))


def _ahead(trials: list[_Trial]) -> _Trial:
    """The best trial that is clearly ahead of the first one, or else the first one."""
    first = trials[0]

    def clear(trial: _Trial) -> bool:
        return clearly_ahead(trial.ndcg, first.ndcg)

    return max(filter(clear, trials), key=lambda trial: float(trial.ndcg.mean()), default=first)
