"""The configurations and readouts of LightGCN among which a tenant's validation period chooses.

They span what shops differ in: whether time says anything, how far tastes spread over the graph, how popular the
negatives are. Each was the best, or within an interval of it, on some kind of data (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from resources.tenants.model_configs import LightGCNConfig

_LASTING: dict[str, Any] = {
    "half_life_days": None,
    "edge_weight": "binary",
    "negative_exponent": 0.5,
    "learning_rate": 0.1,
    "item_readout_exponent": 0.5,
    "popularity_weight": 0.0,
}
_CHANGES: dict[str, dict[str, Any]] = {
    # What the configuration says: seasons, in which old pairs fade and recent popularity counts.
    "season": {},
    # The same without seasons in the graph; what is popular now still counts in the readout.
    "season_without_age": {"half_life_days": None},
    # Smoother embeddings, pairs that fade slowly, popularity of all times.
    "steady": {
        "layer_weights": (0.0, 0.3, 0.7),
        "temperature": 0.3,
        "negative_exponent": 0.5,
        "half_life_days": 120.0,
        "edge_weight": "binary",
        "user_exponent": 0.75,
        "item_readout_exponent": 0.5,
        "popularity_weight": 0.3,
        "popularity_half_life_days": 60.0,
    },
    # Lasting tastes, from sharp to smooth; age says nothing, and popularity is in the vectors' lengths.
    "lasting_sharp": {**_LASTING, "temperature": 0.1, "layer_weights": (0.1, 0.3, 0.6)},
    "lasting": {**_LASTING, "temperature": 0.15, "layer_weights": (0.1, 0.3, 0.6)},
    "lasting_smooth": {**_LASTING, "temperature": 0.2, "layer_weights": (0.0, 0.3, 0.7)},
}
ADAPTED_FIELDS = frozenset(name for changes in _CHANGES.values() for name in changes) | {
    "popularity_half_life_days",
}
"""What the choice may change; a tenant who sets one of these by hand wants no choosing."""

_EXPONENTS = (0.5, 0.75, 1.0)
_WEIGHTS = (0.15, 0.3, 0.45, 0.7)
_HALF_LIVES = (2.0, 5.0, 20.0, 60.0)
_FEW_WEIGHTS, _FEW_HALF_LIVES = (0.15, 0.45), (5.0, 60.0)


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A configuration by name."""

    name: str
    config: LightGCNConfig


def candidates(config: LightGCNConfig) -> tuple[NamedConfig, ...]:
    """`config` itself first, then what it could be changed to."""
    return tuple(NamedConfig(name, config.model_copy(update=changes)) for name, changes in _CHANGES.items())


def readouts(config: LightGCNConfig, *, few: bool = False) -> Iterator[LightGCNConfig]:
    """`config`, then the same with every other readout, or with a few that lie far apart."""
    yield config
    plain = {"popularity_weight": 0.0}
    for exponent in _EXPONENTS:
        yield config.model_copy(update={**plain, "item_readout_exponent": exponent})
    weights, half_lives = (_FEW_WEIGHTS, _FEW_HALF_LIVES) if few else (_WEIGHTS, _HALF_LIVES)
    for exponent, weight, half_life in product(_EXPONENTS, weights, half_lives):
        yield config.model_copy(
            update={
                "item_readout_exponent": exponent,
                "popularity_weight": weight,
                "popularity_half_life_days": half_life,
            }
        )
