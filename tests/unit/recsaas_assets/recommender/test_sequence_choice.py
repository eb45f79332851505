"""The choice of a sequence model's horizon and readout on the validation period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.lifecycle.sequence_choice import SEQUENCE_FIELDS, adapted_sequence
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lightgcn.trainer import TrainingCancelled
from recsaas_assets.recommender.search.chosen_config import chosen_config
from resources.tenants.model_configs import LightGCNConfig, SequenceConfig
from resources.tenants.settings import TrainingSettings

CONFIG = SequenceConfig(
    dim=8, hidden=8, length=8, negatives=32, steps=6, batch_size=256, learning_rate=0.05, adapt=True
)
N_ITEMS, N_USERS = 40, 60


def ring_shop(*, planted: int = 0) -> TrainingSet:
    """Everybody walks on through a ring of items, all at once, day by day; `planted` rows of the test period differ."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, N_ITEMS, N_USERS)
    rows = [(user, int(first[user] + day) % N_ITEMS, day) for day in range(20) for user in range(N_USERS)]
    if planted:
        rows = [*rows[:-planted], *((user, 0, day) for user, _, day in rows[-planted:])]
    frame = pl.DataFrame(
        {
            "user_id": [f"u{user:02}" for user, _, _ in rows],
            "item_id": [f"i{item:02}" for _, item, _ in rows],
            "timestamp": pl.Series(
                [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=user) for user, _, day in rows],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "interaction_type": ["view"] * len(rows),
            "signal": [1.0] * len(rows),
        }
    )
    return build_training_set(frame, pl.Series("item_id", [f"i{item:02}" for item in range(N_ITEMS)]), 10)


def test_a_shop_whose_visits_follow_from_each_other_looks_a_short_way_ahead() -> None:
    found = adapted_sequence(CONFIG, ring_shop(), seed=1)
    assert isinstance(found, SequenceConfig)
    assert found.horizon == 2 and not found.adapt
    changed = {name for name in SequenceConfig.model_fields if getattr(found, name) != getattr(CONFIG, name)}
    assert changed - {"adapt"} <= SEQUENCE_FIELDS


def test_the_choice_is_made_without_the_test_period_and_twice_the_same() -> None:
    data = ring_shop()
    planted = ring_shop(planted=len(data.test) // 2)
    assert np.array_equal(data.train.item_row, planted.train.item_row)
    assert not np.array_equal(data.test.item_row, planted.test.item_row)
    assert adapted_sequence(CONFIG, data, seed=1) == adapted_sequence(CONFIG, planted, seed=1)


def test_training_keeps_what_was_chosen_as_the_recipe() -> None:
    data = ring_shop()
    model = train(TrainingInputs(data), CONFIG, seed=1)
    assert model.config == adapted_sequence(CONFIG, data, seed=1)


@pytest.mark.parametrize(
    "config", [LightGCNConfig(adapt=True), CONFIG.model_copy(update={"adapt": False})], ids=["lightgcn", "not asked"]
)
def test_who_does_not_ask_is_left_alone(config: LightGCNConfig | SequenceConfig) -> None:
    assert adapted_sequence(config, ring_shop(), seed=1) is config


def test_a_value_set_by_hand_ends_the_choosing() -> None:
    def adapts(**hyperparameters: float) -> bool:
        settings = TrainingSettings(model_type="sequence", hyperparameters={**hyperparameters})
        config = chosen_config(settings, None, 60, 40, 1000)
        assert isinstance(config, SequenceConfig)
        return config.adapt

    assert adapts() and adapts(dim=32)
    assert not adapts(horizon=3) and not adapts(popularity_weight=0.2)


def test_choosing_can_be_cancelled() -> None:
    with pytest.raises(TrainingCancelled):
        adapted_sequence(CONFIG, ring_shop(), seed=1, should_stop=lambda: True)
