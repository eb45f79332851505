"""A shop in which the model cannot know what users take next, and the prices of the items tell it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from recsaas_assets.recommender.data.dataset import TimeSplit, TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
from resources.tenants.model_configs import LightGCNConfig

USERS, ITEMS, DIM = 80, 60, 4


@dataclass(frozen=True)
class Case:
    data: TrainingSet
    model: TrainedModel
    catalogue: CatalogueFacts


@pytest.fixture(scope="session")
def case() -> Case:
    """Before validation everybody has two of the first ten items, later they take what is cheap."""
    rng = np.random.default_rng(3)
    users = np.arange(USERS)
    train = Pairs.of(np.repeat(users, 2), rng.permuted(np.tile(np.arange(10), (USERS, 1)), axis=1)[:, :2].ravel())
    # An item that nobody has is no candidate; one user has them all.
    rest = Pairs.of(np.zeros(ITEMS - 10), np.arange(10, ITEMS))
    train = Pairs.of([*train.user_row, *rest.user_row], [*train.item_row, *rest.item_row])
    before, after = np.arange(20, 25), np.arange(40, 45)
    validation = Pairs.of(users, rng.choice(before, USERS))
    test = Pairs.of(users, rng.choice(after, USERS))
    before_test = Pairs.of([*train.user_row, *validation.user_row], [*train.item_row, *validation.item_row])
    full = Pairs.of([*before_test.user_row, *test.user_row], [*before_test.item_row, *test.item_row])
    data = TrainingSet(
        users=IdMap(tuple(f"u{n:02}" for n in users)),
        items=IdMap(tuple(f"i{n:02}" for n in range(ITEMS))),
        train=train,
        validation=validation,
        before_test=before_test,
        test=test,
        full=full,
        split=TimeSplit(evaluable=True),
    )
    model = TrainedModel(
        config=LightGCNConfig(dim=DIM),
        seed=1,
        epochs=1,
        seconds=0.0,
        fingerprint=data.fingerprint,
        holdout=_vectors(rng),
        release=_vectors(rng),
        history=(),
        search=_vectors(rng),
    )
    prices = np.full(ITEMS, 100, np.float32)
    prices[[*before, *after]] = 1
    return Case(data, model, CatalogueFacts(category=np.full(ITEMS, -1, np.float32), price=prices))


def _vectors(rng: np.random.Generator) -> ModelVectors:
    users, items = (rng.standard_normal((n, DIM)).astype(np.float32) for n in (USERS, ITEMS))
    return ModelVectors(users=users, items=items, fold_in=items, start_users=users, start_items=items)
