"""The choice between presets: only what is clearly ahead on validation replaces the defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.lifecycle.presets import ADAPTED_FIELDS, adapted
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.trainer import TrainingCancelled
from recsaas_assets.recommender.search.chosen_config import replaced
from resources.tenants.model_configs import LightGCNConfig

CONFIG = defaults_for(120, 160, 3000).model_copy(update={"dim": 8})
START = datetime(2025, 1, 1, tzinfo=UTC)


def shop(*, season: bool) -> TrainingSet:
    """120 users, 160 items, 3,000 interactions in 150 days.

    With a season, everybody buys what is new this week; without, each of four groups of users has items of its own.
    """
    rng = np.random.default_rng(5)
    hours = np.sort(rng.integers(0, 150 * 24, 3000))
    users = rng.integers(0, 120, 3000)
    drawn = rng.random(3000)
    items = hours // 360 * 16 + drawn * 16 if season else users % 4 * 40 + drawn * 40
    frame = pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{int(item)}" for item in items],
            "timestamp": pl.Series([START + timedelta(hours=int(h)) for h in hours], dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["purchase"] * 3000,
            "signal": [1.0] * 3000,
        }
    )
    return build_training_set(frame, pl.Series("item_id", [], dtype=pl.String), 10)


@pytest.fixture(scope="module")
def steady() -> TrainingSet:
    return shop(season=False)


def choices(config: LightGCNConfig) -> dict[str, object]:
    return config.model_dump(include=set(ADAPTED_FIELDS))


def test_a_choice_is_made_once_is_the_same_by_seed_and_looks_at_nothing_later(steady: TrainingSet) -> None:
    first = adapted(CONFIG, steady, seed=1)
    assert isinstance(first, LightGCNConfig)
    assert not first.adapt
    assert first.model_dump(exclude={*ADAPTED_FIELDS, "adapt"}) == CONFIG.model_dump(exclude={*ADAPTED_FIELDS, "adapt"})
    without_test = TrainingSet(
        steady.users,
        steady.items,
        steady.train,
        steady.validation,
        steady.train,
        steady.train,
        steady.train,
        steady.split,
    )
    assert adapted(CONFIG, without_test, seed=1) == first
    assert adapted(first, steady, seed=2) is first


def test_a_season_is_seen_on_validation_and_lasting_tastes_keep_the_defaults(steady: TrainingSet) -> None:
    found = adapted(CONFIG, shop(season=True), seed=1)
    assert isinstance(found, LightGCNConfig)
    assert found.popularity_half_life_days < CONFIG.popularity_half_life_days
    assert choices(adapted(CONFIG, steady, seed=1)) == choices(CONFIG)  # type: ignore[arg-type]


def test_luck_is_not_enough_to_leave_the_defaults(steady: TrainingSet) -> None:
    # Too few users to tell anything apart.
    few = TrainingSet(
        steady.users,
        steady.items,
        steady.train,
        steady.validation.of_users(np.arange(120) < 20),
        steady.before_test,
        steady.test,
        steady.full,
        steady.split,
    )
    assert choices(adapted(CONFIG, few, seed=1)) == choices(CONFIG)  # type: ignore[arg-type]


def test_an_incremental_training_keeps_what_was_chosen(steady: TrainingSet) -> None:
    before = CONFIG.model_copy(update={"adapt": False, "temperature": 0.35, "popularity_weight": 0.6})
    assert adapted(CONFIG, steady, seed=1, previous=before) is before
    other = before.model_copy(update={"dim": 16})
    assert adapted(CONFIG, steady, seed=1, previous=other) == adapted(CONFIG, steady, seed=1)


def test_what_a_tenant_sets_by_hand_is_not_chosen_for_it() -> None:
    assert replaced(CONFIG, {"dim": 16}).adapt  # type: ignore[union-attr]
    assert not replaced(CONFIG, {"temperature": 0.2}).adapt  # type: ignore[union-attr]
    assert replaced(CONFIG, {"temperature": 0.2, "adapt": True}).adapt  # type: ignore[union-attr]


def test_it_can_be_cancelled(steady: TrainingSet) -> None:
    with pytest.raises(TrainingCancelled):
        adapted(CONFIG, steady, seed=1, should_stop=lambda: True)
