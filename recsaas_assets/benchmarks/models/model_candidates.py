"""The models of `recsaas bench models`: how to fit each, and which configurations its tuning may draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from recsaas_assets.recommender.baselines.dense import DenseScorer
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.lifecycle.model_config import ModelConfig

Configuration = dict[str, Any]
Fit = Callable[["Pairs", int, int, Configuration], "DenseScorer"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A baseline. `start` is tried first and is what its library or its paper starts from."""

    name: str
    fit: Fit
    start: Configuration
    space: Mapping[str, Sequence[Any]]


RECENCY_READOUTS: Sequence[Configuration] = tuple(
    {"weight": weight, "half_life_days": half_life}
    for weight in (0.1, 0.2, 0.3, 0.45, 0.6, 1.0, 1.5, 2.0)
    for half_life in (2.0, 5.0, 20.0, 60.0)
)
"""What every baseline gets in its second row: the popularity coordinate of LightGCN's readout (ADR 5)."""

LIGHTGCN_SPACE: Mapping[str, Sequence[Any]] = {
    "layer_weights": ((0.1, 0.3, 0.6), (0.3, 0.3, 0.4), (0.0, 0.3, 0.7), (0.05, 0.15, 0.3, 0.5)),
    "temperature": (0.1, 0.15, 0.2, 0.3),
    "negative_exponent": (0.5, 0.75, 1.0),
    "learning_rate": (0.02, 0.05, 0.1),
    "half_life_days": (None, 30.0, 60.0, 120.0),
    "user_exponent": (0.5, 1.0),
    "popularity_weight": (0.0, 0.15, 0.3, 0.45, 0.7),
    "popularity_half_life_days": (2.0, 5.0, 10.0, 20.0),
}


def baselines() -> tuple[Candidate, ...]:
    """Every personal baseline that can run here; those of `implicit` only where it is installed."""
    from recsaas_assets.recommender.baselines.implicit_models import (
        AlsOptions,
        BprOptions,
        implicit_als,
        implicit_bpr,
        implicit_installed,
    )
    from recsaas_assets.recommender.item_models.yardsticks import ease, item_knn

    always = (
        Candidate(
            "item_knn",
            lambda pairs, users, items, values: item_knn(pairs, users, items, **values),
            {"neighbours": 200, "shrinkage": 0.0},
            {"neighbours": (20, 50, 100, 200, 500, 1000), "shrinkage": (0.0, 5.0, 10.0, 20.0, 50.0)},
        ),
        Candidate(
            "ease",
            lambda pairs, users, items, values: ease(pairs, users, items, **values),
            {"regularisation": 500.0},
            {"regularisation": (10.0, 30.0, 50.0, 100.0, 200.0, 300.0, 1000.0, 2000.0, 4000.0)},
        ),
    )
    if not implicit_installed():
        return always
    return (
        *always,
        Candidate(
            "implicit_als",
            lambda pairs, users, items, values: implicit_als(pairs, users, items, AlsOptions(**values)),
            {"factors": 64, "regularisation": 0.01, "alpha": 1.0, "iterations": 15},
            {
                "factors": (16, 32, 64, 128),
                "regularisation": (0.01, 0.1, 1.0, 10.0),
                "alpha": (0.5, 1.0, 3.0, 10.0, 30.0),
                "iterations": (5, 15),
            },
        ),
        Candidate(
            "implicit_bpr",
            lambda pairs, users, items, values: implicit_bpr(pairs, users, items, BprOptions(**values)),
            {"factors": 64, "learning_rate": 0.01, "regularisation": 0.01, "iterations": 100},
            {
                "factors": (16, 32, 64, 128),
                "learning_rate": (0.01, 0.03, 0.05, 0.1),
                "regularisation": (0.001, 0.01, 0.03, 0.1),
                "iterations": (50, 100),
            },
        ),
    )


def draw(
    start: Configuration, space: Mapping[str, Sequence[Any]], count: int, rng: np.random.Generator
) -> list[Configuration]:
    """`count` configurations: `start`, then others drawn from `space` at random, each once while there are others."""
    drawn = [start]
    for _ in range(20 * count):
        if len(drawn) == count:
            break
        values = {name: choices[int(rng.integers(len(choices)))] for name, choices in space.items()}
        if values not in drawn:
            drawn.append(values)
    return drawn


def lightgcn_draws(defaults: ModelConfig, count: int, rng: np.random.Generator) -> list[ModelConfig]:
    """`count` configurations of LightGCN, its defaults first."""
    return [defaults.model_copy(update=values) for values in draw({}, LIGHTGCN_SPACE, count, rng)]
