"""How a tenant's sequence model looks ahead, and how much recent popularity counts: chosen on the validation period.

In one shop the next visit follows from the last one, in another from the season or from lasting taste. A few epochs of
each, read out in several ways (which costs no further fit), tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from recsaas_assets.recommender.choice.validation_users import ValidationUsers
from recsaas_assets.recommender.data.arrays import Values
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.sequence.trainer import fit_sequence
from resources.tenants.model_configs import SequenceConfig

ORDER: dict[str, Any] = {"horizon": 2, "history_weight": 0.5, "half_life_days": None}
"""For visits that follow from each other."""
LASTING: dict[str, Any] = {"horizon": 60, "history_weight": 1.0, "half_life_days": None}
"""For tastes that last: any later item will do, however long ago it was."""
SEQUENCE_POPULARITY_WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0)
SEQUENCE_HALF_LIVES = (2.0, 5.0, 15.0, 60.0)
SEQUENCE_FIELDS = frozenset({*ORDER, *LASTING, "popularity_weight", "popularity_half_life_days"})
"""What the choice may change; a tenant who sets one of these by hand wants no choosing."""

_STEPS = 4
_USERS = 1000
_MIN_USERS = 30


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    config: SequenceConfig
    ndcg: Values


def adapted_sequence(
    config: ModelConfig,
    training_set: TrainingSet,
    *,
    seed: int,
    should_stop: Callable[[], bool] | None = None,
) -> ModelConfig:
    """`config` itself, or what is ahead of it in NDCG@10 on the validation period by more than one standard error.

    The error is that of the mean difference, user by user. Configurations that do not ask for it (`adapt`) and those
    of other models are left as they are; what is returned asks no more.

    Raises:
        TrainingCancelled: `should_stop` said so.
    """
    if not isinstance(config, SequenceConfig) or not config.adapt:
        return config
    unadapted = config.model_copy(update={"adapt": False})
    later = ValidationUsers.of(training_set, seed, limit=_USERS)
    if len(later.users) < _MIN_USERS or config.popularity_weight == 0:
        return unadapted
    inputs = FitInputs(training_set.train, training_set.n_users, training_set.n_items, seed)
    tried = []
    for start in (unadapted, *(unadapted.model_copy(update=each) for each in (ORDER, LASTING))):
        found = fit_sequence(inputs, start.model_copy(update={"steps": _STEPS}), should_stop=should_stop).vectors
        users, items = torch.from_numpy(found.start_users), torch.from_numpy(found.start_items)
        for option in _read_out(start):
            readout = Readout.of(training_set.train, training_set.n_items, option)
            tried.append(_Tried(option, later.ndcg_at_10(*readout(users, items))))
    first = tried[0]
    best = max(tried, key=lambda each: float(each.ndcg.mean()))
    difference = best.ndcg - first.ndcg
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    return best.config if float(difference.mean()) > error else unadapted


def _read_out(start: SequenceConfig) -> Iterator[SequenceConfig]:
    """The configuration itself, then the same with every other readout."""
    yield start
    for weight, half_life in product(SEQUENCE_POPULARITY_WEIGHTS, SEQUENCE_HALF_LIVES):
        yield start.model_copy(update={"popularity_weight": weight, "popularity_half_life_days": half_life})
