"""Whether repeats are found where they are, and nowhere else."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.metrics.scorers import Scorer
from recsaas_assets.recommender.repeats.learning import RepeatFindings, learn_repeats
from recsaas_assets.recommender.repeats.purchases import histories_before, repeatable
from resources.ranker.retrieval.repeats import leads
from tests.unit.recsaas_assets.recommender.repeats.grocery import grocery, training_set


def learned(signals: pl.DataFrame, data: TrainingSet | None = None) -> RepeatFindings:
    data = training_set(signals) if data is None else data
    scorers: tuple[Scorer, Scorer] = (
        popularity_scorer(data.train, data.n_items),
        popularity_scorer(data.before_test, data.n_items),
    )
    return learn_repeats(repeatable(signals, data), data, scorers, seed=7)


@pytest.fixture(scope="module")
def found() -> RepeatFindings:
    return learned(grocery())


def test_planted_repeats_are_found(found: RepeatFindings) -> None:
    verdict = found.verdict
    assert verdict.come_again and verdict.share is not None and verdict.share > 0.5
    assert verdict.test is not None and verdict.test.low > 0.2
    assert verdict.lists["with_repeats"]["recall@20"] > 0.5 > verdict.lists["without_repeats"]["recall@20"]
    assert verdict.usual_gap_days == 7
    assert verdict.reason.startswith("What a user has bought comes again. NDCG@10")


def test_nothing_changes_where_nothing_is_bought_twice() -> None:
    found = learned(grocery(staples=False))
    assert not found.verdict.come_again and found.model is None and found.verdict.share == 0
    assert found.verdict.reason.startswith("Seen items stay out: 0.0% of the pairs")


def test_to_look_again_before_one_buys_is_no_repeat() -> None:
    """Where there are purchases, only they count; a shop of views alone has them counted."""
    views = grocery(kind="view")
    bought = grocery(staples=False)
    both = pl.concat([bought, views.with_columns(signal=pl.lit(1.0))])
    assert not learned(both).verdict.come_again
    alone = learned(views)
    assert alone.verdict.come_again and alone.model is not None and not alone.model.purchases


def test_what_was_taken_back_or_is_disliked_does_not_come_again() -> None:
    signals = grocery()
    back = signals.filter(pl.col("user_id") == "u1").with_columns(pieces=-pl.col("pieces"), signal=pl.lit(0.0))
    hated = signals.filter((pl.col("user_id") == "u2") & (pl.col("item_id") == "i8")).head(1)
    hated = hated.with_columns(interaction_type=pl.lit("dislike"), signal=pl.lit(-1.0))
    everything = pl.concat([signals, back, hated])
    data = training_set(everything)
    bought = repeatable(everything, data)
    history = histories_before(bought, data.full, data.n_items, bought.end)
    pairs = {(data.users.ids[u], data.items.ids[i]) for u, i in zip(history.user_row, history.item_row, strict=True)}
    assert not [pair for pair in pairs if pair[0] == "u1"]
    assert ("u2", "i8") not in pairs and ("u2", "i9") in pairs


def test_the_future_is_not_looked_at(found: RepeatFindings) -> None:
    """Other purchases in the test period change the figures, and no coefficient; those after validation no history."""
    signals = grocery()
    data = training_set(signals)
    start = data.split.test_start
    assert start is not None and data.split.validation_start is not None and found.model is not None
    planted = signals.with_columns(
        item_id=pl.when(pl.col("timestamp") >= start).then(pl.lit("i7")).otherwise(pl.col("item_id"))
    )
    other = learned(planted)
    assert other.model is not None and other.verdict.test != found.verdict.test
    assert np.array_equal(other.model.again, found.model.again) and np.array_equal(other.model.new, found.model.new)
    early = histories_before(repeatable(signals, data), data.train, data.n_items, data.split.validation_start)
    of_past = signals.filter(pl.col("timestamp") < data.split.validation_start)
    alone = histories_before(repeatable(of_past, data), data.train, data.n_items, data.split.validation_start)
    for name in ("user_row", "item_row", "times", "age", "gap", "item_rate", "user_rate", "user_items", "user_days"):
        assert np.array_equal(getattr(early, name), getattr(alone, name)), name


def test_shuffled_repeats_teach_nothing() -> None:
    """When what comes later is somebody else's basket, repeats are too rare, or do not surely help."""
    signals = grocery()
    data = training_set(signals)
    start = data.split.validation_start
    assert start is not None
    later = signals.filter(pl.col("timestamp") >= start)
    users = later["user_id"].gather(np.random.default_rng(2).permutation(later.height))
    mixed = pl.concat([signals.filter(pl.col("timestamp") < start), later.with_columns(user_id=users)])
    assert not learned(mixed).verdict.come_again


def test_same_seed_same_bits(found: RepeatFindings) -> None:
    again = learned(grocery())
    assert again.verdict == found.verdict
    assert again.model is not None and found.model is not None
    assert np.array_equal(again.model.again, found.model.again)
    turned = learned(grocery().sample(fraction=1.0, shuffle=True, seed=3))
    assert turned.verdict == found.verdict


def test_what_is_due_comes_before_what_was_just_bought(found: RepeatFindings) -> None:
    model = found.model
    assert model is not None
    at = np.array([0.5, 1.5, 7.0])
    columns = np.stack([np.zeros(3), at, np.full(3, 7.0)], axis=1).astype(np.float32)
    ranked = leads(model.curve, columns, 0.0)
    assert ranked[0] == -np.inf and np.isfinite(ranked[1:]).all()
    assert leads(model.curve, columns, 1.0)[0] > -np.inf  # a day later


def test_too_few_users_or_no_split_is_never() -> None:
    signals = grocery().filter(pl.col("user_id").is_in(["u1", "u2"]))
    assert not learned(signals).verdict.come_again
    one = signals.with_columns(timestamp=signals["timestamp"][0])
    assert learned(one).verdict.reason.startswith("Not learned")
    early = grocery().filter(pl.col("timestamp") < grocery()["timestamp"].min() + timedelta(days=3))
    assert not learned(early).verdict.come_again
