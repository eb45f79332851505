"""How much of popularity a model's lists need: accuracy against coverage, and the readout that a shop may ask for.

The popularity of an item is one coordinate of the vectors, the last one, so a smaller weight of it costs no fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from recsaas_assets.recommender.choice.validation_users import ValidationUsers
from recsaas_assets.recommender.data.arrays import Values
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.bootstrap import Resamples
from recsaas_assets.recommender.metrics.exposure import alike
from recsaas_assets.recommender.metrics.ranking import coverage, mark_relevant, ndcg
from recsaas_assets.recommender.metrics.scorers import VectorScorer

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_LOSS = 0.02
"""Share of NDCG@10 that lists which follow popularity less may cost."""
_USERS = 2_000
_K = 10


class TradeOffPoint(BaseModel):
    """What lists with ``factor`` times the model's popularity weight are, on the validation period.

    ``low`` and ``high`` are the 95 % interval of NDCG@10 minus that of factor 1, paired by user.
    """

    model_config = ConfigDict(frozen=True)

    factor: float
    ndcg: float
    coverage: float
    alike: float
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Lists:
    per_user: Values
    coverage: float
    alike: float


def trade_off(training_set: TrainingSet, model: TrainedModel, *, seed: int) -> tuple[TradeOffPoint, ...]:
    """NDCG@10 and coverage@10 on the validation period for five popularity weights, least first.

    Empty for a model without a popularity coordinate, without its fit on `train`, or without validation users.
    """
    search = model.search
    if search is None or not _has_popularity(model.config):
        return ()
    later = ValidationUsers.of(training_set, seed, limit=_USERS)
    if not len(later.users):
        return ()
    lists = {factor: _measured(later, _scaled(search, factor)) for factor in FACTORS}
    whole = lists[1.0]
    differences = np.stack([each.per_user - whole.per_user for each in lists.values()], axis=1)
    intervals = Resamples(len(later.users), seed).intervals(differences)
    return tuple(
        TradeOffPoint(
            factor=factor,
            ndcg=float(each.per_user.mean()),
            coverage=each.coverage,
            alike=each.alike,
            low=float(low),
            high=float(high),
        )
        for (factor, each), (low, high) in zip(lists.items(), intervals, strict=True)
    )


def balanced_factor(points: tuple[TradeOffPoint, ...]) -> float:
    """The least factor above 0 whose lists cost at most `MOST_LOSS` and are not surely worse; 1 without any point.

    0 would leave users without a vector without an order.
    """
    whole = next((point.ndcg for point in points if point.factor == 1), 0.0)
    good = (p.factor for p in points if p.factor > 0 and p.ndcg >= whole * (1 - MOST_LOSS) and p.high >= 0)
    return min(good, default=1.0)


def balanced(training_set: TrainingSet, model: TrainedModel, *, seed: int) -> TrainedModel:
    """The model whose lists follow popularity as little as `balanced_factor` says; that is its recipe from then on.

    Chosen on the validation period; every fit is read out alike, so what is measured is what is released. One that was
    trained incrementally has what was chosen before, and is left as it is.
    """
    if model.start.mode == "incremental":
        return model
    factor = balanced_factor(trade_off(training_set, model, seed=seed))
    if factor == 1:
        return model
    weight = model.config.popularity_weight * factor
    return replace(
        model,
        config=model.config.model_copy(update={"popularity_weight": weight}),
        holdout=_scaled(model.holdout, factor),
        release=_scaled(model.release, factor),
        before_live=None if model.before_live is None else _scaled(model.before_live, factor),
        search=None if model.search is None else _scaled(model.search, factor),
    )


def _has_popularity(config: ModelConfig) -> bool:
    return config.popularity_weight > 0 and config.learned_dim < config.dim


def _scaled(vectors: ModelVectors, factor: float) -> ModelVectors:
    items = vectors.items.copy()
    items[:, -1] *= np.float32(factor)
    return replace(vectors, items=items)


def _measured(later: ValidationUsers, vectors: ModelVectors) -> _Lists:
    known = later.history.users_per_item(later.n_items) > 0
    seen = later.history.csr(later.n_users, later.n_items)
    ranked, _ = VectorScorer(vectors.users, vectors.items, known).top_k(later.users, _K, seen)
    relevant = mark_relevant(later.users, ranked, later.targets, later.n_users, later.n_items)
    shown = np.bincount(ranked[ranked >= 0], minlength=later.n_items).astype(np.float64)
    return _Lists(ndcg(relevant, _K), coverage(ranked, _K, int(known.sum())), float(alike(shown[None, :], _K)[0]))
