"""A small world whose report can be worked out by hand."""

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TimeSplit, TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.evaluate import evaluate
from recsaas_assets.recommender.evaluation.gate import decide
from recsaas_assets.recommender.evaluation.report import EvaluationReport
from recsaas_assets.recommender.evaluation.report_text import report_markdown
from recsaas_assets.recommender.metrics.scorers import VectorScorer


def _world() -> TrainingSet:
    """Users 0–2 are known (user 3 is new), items 0–2 are known (item 3 is cold).

    Popularity: item 0 three users, item 1 two, item 2 one.
    """
    before = Pairs.of([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 2])
    # User 0: new item 2, repeat 0, cold 3. User 1: only a repeat. User 2: item 1. User 3 (new): item 0.
    test = Pairs.of([0, 0, 0, 1, 2, 3], [2, 0, 3, 1, 1, 0])
    times = pl.Series([1, 2]).cast(pl.Datetime("us", "UTC"))
    split = TimeSplit(evaluable=True, validation_start=times[0], test_start=times[1])
    users, items = IdMap(("a", "b", "c", "d")), IdMap(("w", "x", "y", "z"))
    return TrainingSet(users, items, before, Pairs.empty(), before, test, before, split)


def test_report_by_hand() -> None:
    world = _world()
    report = evaluate(world, {"popularity": popularity_scorer(world.before_test, 4)}, seed=0)
    split = report.split
    assert (split.test_users, split.evaluated_users, split.new_users, split.users_without_target) == (4, 2, 1, 1)
    assert (split.test_pairs, split.evaluated_pairs, split.repeat_pairs) == (6, 2, 2)
    assert (split.cold_item_pairs, split.cold_items) == (1, 1)
    # Users 0 and 2 each have one unseen known item left, which is their target.
    figures = report.models["popularity"]
    assert (figures["ndcg@10"], figures["recall@20"], figures["mrr"]) == (1.0, 1.0, 1.0)
    assert figures["precision@10"] == pytest.approx(0.1)
    assert figures["coverage@10"] == pytest.approx(2 / 3)
    # Shares of the three users, +1: item 2 (1+1)/4 → 1 bit, item 1 (2+1)/4 → 0.415 bit.
    assert figures["novelty@10"] == pytest.approx((1 + 0.4150375) / 2)
    assert report.intervals["popularity"]["ndcg@10"] == (1.0, 1.0)
    # Seen included, ranking 0, 1, 2 for all: user 0 finds {0, 2}, user 1 finds 1 and user 2 finds 1 at place 2.
    second = 1 / np.log2(3)
    included = report.cohorts["seen_included"]
    assert (included.users, included.pairs) == (3, 4)
    assert included.models["popularity"]["ndcg@10"] == pytest.approx((1.5 / (1 + second) + second + second) / 3)
    assert report.cohorts["new_users"].models["popularity"]["ndcg@10"] == 1.0
    # The percentiles of items 0, 1, 2 are 5/6, 1/2, 1/6. Users 0 and 2 are shown items 2 and 1, the rest was seen.
    assert figures["popularity_percentile@10"] == pytest.approx((1 / 6 + 1 / 2) / 2)
    assert figures["head_share@10"] == 0.0
    # Items 0, 1, 2 are shown 0, 1 and 1 times: 2·(2·1 + 3·1)/(3·2) − 4/3.
    assert figures["gini@10"] == pytest.approx(1 / 3)
    # The head is a fifth of three items, rounded up: item 0, which is nobody's target.
    assert (report.cohorts["head_items"].pairs, report.cohorts["tail_items"].pairs) == (0, 2)
    assert (report.cohorts["few_interactions"].users, report.cohorts["many_interactions"].users) == (2, 0)
    assert report.cohorts["few_interactions"].intervals["popularity"]["ndcg@10"] == (1.0, 1.0)
    assert (report.cohorts["cold_items"].pairs, report.cohorts["cold_items"].models) == (1, {})


def test_report_round_trip_and_markdown() -> None:
    world = _world()
    report = evaluate(world, {"popularity": popularity_scorer(world.before_test, 4)}, seed=0)
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    text = report_markdown(report)
    assert "2 of 4 test users" in text
    assert "| popularity | 1.0000 (1.0000–1.0000)" in text


def test_a_model_that_ranks_cold_items_gains_nothing_from_them() -> None:
    world = _world()
    vectors = np.ones((4, 2), dtype=np.float32)
    report = evaluate(world, {"lightgcn": VectorScorer(vectors, vectors, np.ones(4, dtype=bool))}, seed=0)
    # All scores tie, so rows ascend: user 0 has target 2 before cold 3, user 2 has target 1 before cold 3.
    assert report.models["lightgcn"]["mrr"] == 1.0


def test_unsplittable_set_gives_a_report_that_says_so() -> None:
    pairs = Pairs.of([0], [0])
    nothing = Pairs.empty()
    split = TimeSplit(evaluable=False, reason="1 interaction.")
    single = TrainingSet(IdMap(("u",)), IdMap(("i",)), pairs, nothing, pairs, nothing, pairs, split)
    report = evaluate(single, {"popularity": popularity_scorer(pairs, 1)}, seed=0)
    assert report.models == {}
    assert "Not evaluated: 1 interaction." in report_markdown(report)
    assert decide(report).outcome == "promote_unmeasured"


def test_a_model_that_knows_content_can_find_cold_items() -> None:
    world = _world()
    users = np.ones((4, 1), dtype=np.float32)
    content = VectorScorer(users, np.array([[0], [0], [0], [1]], np.float32), np.ones(4, dtype=bool))
    popularity = popularity_scorer(world.before_test, 4)
    report = evaluate(world, {"popularity": popularity}, seed=0, cold_scorers={"lightgcn": content})
    assert report.cohorts["cold_items"].models["lightgcn"]["ndcg@10"] == 1.0


def test_the_first_scorer_is_measured_against_the_others() -> None:
    world = _world()
    popularity = popularity_scorer(world.before_test, 4)
    nobody = VectorScorer(np.ones((4, 1), np.float32), np.ones((4, 1), np.float32), np.zeros(4, dtype=bool))
    report = evaluate(world, {"two_tower": nobody, "popularity": popularity}, seed=0)
    assert report.model == "two_tower"
    (lead,) = report.leads.values()
    assert (lead.value, lead.low, lead.high, lead.users, lead.reference) == (-1, -1, -1, 2, 1)
    assert "- popularity: −1.0000 (95 % interval −1.0000 to −1.0000, 2 users)" in report_markdown(report)
