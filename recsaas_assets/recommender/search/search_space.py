"""The space of a search: the hyper-parameters that it may change, and their bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from recsaas_assets.recommender.lifecycle.model_config import ModelConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Hyperparameters = dict[str, JsonValue]
Params = dict[str, str | int | float]
"""Hyper-parameters as Optuna knows them: what is no number is a choice, written as JSON."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """All numbers from `low` to `high`; `log`: each factor is as likely as any other; `whole`: integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def including(self, value: JsonValue) -> Numbers:
        """The same, wide enough for `value`."""
        number = _number(value)
        return Numbers(min(self.low, number), max(self.high, number), self.log and number > 0, self.whole)

    def distribution(self) -> BaseDistribution:
        """The distribution that Optuna draws from."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[JsonValue, ...]

    def including(self, value: JsonValue) -> Choice:
        """The same, with `value` among them."""
        return self if value in self.values else Choice((value, *self.values))

    def distribution(self) -> BaseDistribution:
        """The distribution that Optuna draws from."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([json.dumps(value) for value in self.values])


Space = dict[str, Numbers | Choice]

_AGE: Space = {"half_life_days": Choice((None, 14.0, 30.0, 60.0, 120.0, 365.0))}
_READOUT: Space = {"popularity_weight": Numbers(0.0, 1.5), "popularity_half_life_days": Numbers(1, 60, log=True)}
_LAYERS: Space = {
    "layer_weights": Choice(
        ([0.1, 0.3, 0.6], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1], [0.0, 0.4, 0.6], [0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0])
    ),
    "edge_weight": Choice(("binary", "log", "sqrt", "linear")),
}
# Not the dimension, the number of negatives or the block: they cost memory and time in proportion, and a search that
# only looks at quality would always buy the most. An operator sets them.
_SOFTMAX: Space = {
    **_LAYERS,
    "learning_rate": Numbers(0.005, 0.3, log=True),
    "steps": Numbers(20, 300, log=True, whole=True),
    "temperature": Numbers(0.07, 0.6, log=True),
    "negative_exponent": Numbers(0.0, 1.2),
    "positive_weight": Choice(("binary", "log")),
    **_AGE,
    "user_exponent": Numbers(0.0, 1.0),
    "item_readout_exponent": Numbers(0.0, 1.0),
    **_READOUT,
}
_BPR: Space = {
    **_LAYERS,
    "learning_rate": Numbers(0.0003, 0.03, log=True),
    "l2": Numbers(1e-6, 1e-2, log=True),
    "item_readout_exponent": Numbers(0.0, 1.0),
    **_READOUT,
}
_TWO_TOWER: Space = {
    "learning_rate": Numbers(0.003, 0.2, log=True),
    "layer_learning_rate": Numbers(0.0001, 0.02, log=True),
    "steps": Numbers(20, 200, log=True, whole=True),
    "temperature": Numbers(0.05, 0.6, log=True),
    "popularity_prior": Numbers(0.0, 1.2),
    "target_share": Numbers(0.2, 0.8),
    "id_dropout": Numbers(0.0, 0.6),
    "feature_weight": Numbers(0.0, 2.0),
    **_AGE,
    "user_exponent": Numbers(0.0, 1.0),
    **_READOUT,
}
_SEQUENCE: Space = {
    "learning_rate": Numbers(0.003, 0.1, log=True),
    "layer_learning_rate": Numbers(0.0003, 0.02, log=True),
    "steps": Numbers(10, 80, log=True, whole=True),
    "temperature": Numbers(0.05, 0.6, log=True),
    "popularity_prior": Numbers(0.0, 1.2),
    "horizon": Numbers(1, 100, log=True, whole=True),
    "history_weight": Numbers(0.0, 3.0),
    "dropout": Numbers(0.0, 0.6),
    **_AGE,
    **_READOUT,
}
_SPACES = {"softmax": _SOFTMAX, "bpr": _BPR, "two_tower": _TWO_TOWER, "sequence": _SEQUENCE}


def space_of(config: ModelConfig, fixed: Mapping[str, JsonValue]) -> Space:
    """The space around `config`, wide enough to hold it as it is; what the tenant has `fixed` is left alone."""
    values = config.model_dump(mode="json")
    kind = values["loss"] if values["model_type"] == "lightgcn" else values["model_type"]
    space = _SPACES[str(kind)]
    return {name: each.including(values[name]) for name, each in space.items() if name in values and name not in fixed}


def encode(space: Space, hyperparameters: Mapping[str, JsonValue]) -> Params:
    """The values of the names in `space`, as Optuna's."""
    return {
        name: json.dumps(hyperparameters[name]) if isinstance(each, Choice) else _number(hyperparameters[name])
        for name, each in space.items()
    }


def decode(space: Space, params: Params) -> Hyperparameters:
    """The other way round."""
    return {
        name: json.loads(str(params[name])) if isinstance(each, Choice) else params[name]
        for name, each in space.items()
    }


def _number(value: JsonValue) -> float | int:
    assert isinstance(value, (int, float)), value
    return value
