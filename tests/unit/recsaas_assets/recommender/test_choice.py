"""The choice of a configuration: what is worth more on validation, luck taken off, replaces the defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.choice.candidates import ADAPTED_FIELDS, candidates, readouts
from recsaas_assets.recommender.choice.choosing import choose_config
from recsaas_assets.recommender.choice.expected_gain import gains_over
from recsaas_assets.recommender.choice.validation_users import ValidationUsers
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.lifecycle.adapting import adapted
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
    first, report = adapted(CONFIG, steady, seed=1)
    assert isinstance(first, LightGCNConfig)
    assert report is not None
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
    assert adapted(CONFIG, without_test, seed=1) == (first, report)
    again, nothing = adapted(first, steady, seed=2)
    assert again is first
    assert nothing is None


def test_the_report_has_the_chosen_one_the_runners_up_and_what_was_given_up(steady: TrainingSet) -> None:
    choice = choose_config(CONFIG.model_copy(update={"adapt": False}), steady, seed=1)
    report = choice.report
    assert report is not None
    names = [each.name for each in report.contenders]
    assert report.chosen in names
    assert {*names, *report.dropped} == {each.name for each in candidates(CONFIG)}
    chosen = report.contenders[names.index(report.chosen)]
    assert chosen.hyperparameters == choice.config.model_dump(mode="json", include=set(ADAPTED_FIELDS))
    assert all(each.low <= each.gain <= each.high for each in report.contenders)


def test_a_season_and_lasting_tastes_are_told_apart_on_validation(steady: TrainingSet) -> None:
    assert choose_config(CONFIG, shop(season=True), seed=1).config.half_life_days == CONFIG.half_life_days
    assert choose_config(CONFIG, steady, seed=1).config.half_life_days is None


def test_recency_goes_when_time_says_nothing() -> None:
    """The same tastes with the times shuffled: what halves the weight of old pairs only throws data away."""
    data = shop(season=False)
    found = choose_config(CONFIG.model_copy(update={"half_life_days": 5.0}), data, seed=1).config
    assert found.half_life_days is None or found.half_life_days >= 60


def test_with_too_few_users_the_defaults_stay(steady: TrainingSet) -> None:
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
    config, report = adapted(CONFIG, few, seed=1)
    assert choices(config) == choices(CONFIG)  # type: ignore[arg-type]
    assert report is None


def test_an_incremental_training_keeps_what_was_chosen(steady: TrainingSet) -> None:
    before = CONFIG.model_copy(update={"adapt": False, "temperature": 0.35, "popularity_weight": 0.6})
    assert adapted(CONFIG, steady, seed=1, previous=before) == (before, None)
    other = before.model_copy(update={"dim": 16})
    assert adapted(CONFIG, steady, seed=1, previous=other) == adapted(CONFIG, steady, seed=1)


def test_luck_has_no_worth_and_a_lead_has() -> None:
    rng = np.random.default_rng(0)
    reference = rng.random(400)
    noise = [reference + rng.normal(0, 0.3, 400) for _ in range(5)]
    assert max(each.worth for each in gains_over(reference, noise)) < 0.005
    assert max(each.measured for each in gains_over(reference, noise)) > 0.005, "the best of five is ahead by luck"
    *_, ahead = gains_over(reference, [*noise, reference + 0.1 + rng.normal(0, 0.3, 400)])
    assert 0.05 < ahead.worth <= ahead.measured
    assert ahead.low < ahead.measured < ahead.high
    (same,) = gains_over(reference, [reference])
    assert (same.measured, same.worth) == (0, 0)


def test_readouts_measured_together_are_those_of_one_by_one(steady: TrainingSet) -> None:
    rng = np.random.default_rng(3)
    users = rng.normal(size=(steady.n_users, 4)).astype(np.float32)
    items = rng.normal(size=(steady.n_items, 4)).astype(np.float32)
    addition = rng.random(steady.n_items).astype(np.float32)
    looked_at = ValidationUsers.of(steady, 1, limit=50)
    together = list(looked_at.ndcg_with(users, items, [np.zeros_like(addition), addition]))
    np.testing.assert_allclose(together[0], looked_at.ndcg_at_10(users, items))
    with_addition = np.column_stack([items, addition])
    ones = np.column_stack([users, np.ones(len(users), np.float32)])
    np.testing.assert_allclose(together[1], looked_at.ndcg_at_10(ones, with_addition))


def test_few_readouts_are_among_all() -> None:
    every = [each.model_dump() for each in readouts(CONFIG)]
    assert all(each.model_dump() in every for each in readouts(CONFIG, few=True))
    assert len(every) == 52


def test_what_a_tenant_sets_by_hand_is_not_chosen_for_it() -> None:
    assert replaced(CONFIG, {"dim": 16}).adapt  # type: ignore[union-attr]
    assert not replaced(CONFIG, {"temperature": 0.2}).adapt  # type: ignore[union-attr]
    assert replaced(CONFIG, {"temperature": 0.2, "adapt": True}).adapt  # type: ignore[union-attr]


def test_it_can_be_cancelled(steady: TrainingSet) -> None:
    with pytest.raises(TrainingCancelled):
        adapted(CONFIG, steady, seed=1, should_stop=lambda: True)
