"""A shop whose right answer is known, with a release that is live: odd users like odd items, even users even ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.live_model import LiveModel
from recsaas_assets.recommender.item_models.fitted import ItemModels, fit_item_models
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from resources.tenants.model_configs import LightGCNConfig

START = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = LightGCNConfig(dim=8, steps=12, negatives=16, evaluate_every=4)


def two_communities(
    *, users: int = 60, items: int = 30, rows: int = 1200, live_until: int | None = None
) -> TrainingSet:
    """One interaction an hour; ``live_until`` is the last hour that the live release has seen."""
    rng = np.random.default_rng(3)
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    item = np.where((item % 2 != user % 2) & (rng.random(rows) < 0.95), item ^ 1, item)
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n:02}" for n in user],
            "item_id": [f"i{n:02}" for n in item],
            "timestamp": pl.Series([START + timedelta(hours=n) for n in range(rows)], dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * rows,
            "signal": [1.0] * rows,
        }
    )
    until = None if live_until is None else START + timedelta(hours=live_until)
    return build_training_set(frame, pl.Series("item_id", ["i00"]), 10, live_until=until)


def shuffled(data: TrainingSet) -> TrainingSet:
    """The same shop with every user's items replaced by somebody else's, in what a fit may see."""
    rng = np.random.default_rng(4)

    def mixed(pairs: Pairs) -> Pairs:
        return Pairs.of(pairs.user_row, rng.permutation(pairs.item_row), pairs.weight, pairs.age_days)

    return replace(
        data,
        train=mixed(data.train),
        before_test=mixed(data.before_test),
        full=mixed(data.full),
        before_live=mixed(data.before_live),
    )


def item_models_of(data: TrainingSet) -> ItemModels:
    """The item–item models of a run on ``data``."""
    return fit_item_models(data, seed=1)


def as_live(data: TrainingSet, model: TrainedModel, **changes: object) -> LiveModel:
    """The release that the fit on ``before_live`` would have become, in other rows and with two ids that are gone."""
    assert model.before_live is not None
    rows = np.zeros((1, model.before_live.users.shape[1]), np.float32)
    made = LiveModel(
        version="20240101T000000Z-00000000",
        algorithm="lightgcn",
        hyperparameters={**model.config.model_dump(mode="json"), "epochs": model.epochs},
        seed=model.seed,
        user_ids=("gone", *reversed(data.users.ids)),
        item_ids=("gone", *reversed(data.items.ids)),
        user_vectors=np.concatenate([rows, model.before_live.users[::-1]]),
        item_vectors=np.concatenate([rows, model.before_live.items[::-1]]),
        popularity=np.concatenate([[9.0], data.before_live.users_per_item(data.n_items)[::-1]]),
        events_until=data.split.live_until,
    )
    return replace(made, **changes)  # type: ignore[arg-type]
