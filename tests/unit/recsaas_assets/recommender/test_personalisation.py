"""How much of popularity lists need, and what is said of lists that hardly differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.personal import hardly_personal
from recsaas_assets.recommender.evaluation.report import EvaluationReport, SplitSummary
from recsaas_assets.recommender.lifecycle.personalisation import (
    FACTORS,
    TradeOffPoint,
    balanced,
    balanced_factor,
    trade_off,
)
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.lifecycle.warm_start import StartReport
from recsaas_assets.recommender.metrics.exposure import alike
from resources.tenants.model_configs import LightGCNConfig
from tests.unit.recsaas_assets.recommender.communities import shop


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return shop()


@pytest.fixture(scope="module")
def model(data: TrainingSet) -> TrainedModel:
    """Popularity has the last word in its lists, and says nothing: there are two communities."""
    config = LightGCNConfig(dim=8, steps=30, negatives=8, evaluate_every=5, popularity_weight=20)
    return train(TrainingInputs(data), config, seed=1)


def test_alike_is_the_share_of_places_that_two_lists_have_in_common() -> None:
    # Lists {0, 1}, {0, 2} and {0, 1}: pairs have 1, 2 and 1 of 2 places in common.
    assert alike(np.array([[3.0, 2, 1]]), 2).tolist() == pytest.approx([(1 + 2 + 1) / 3 / 2])
    assert alike(np.array([[4.0, 4, 0], [1, 1, 0], [0, 0, 0]]), 2).tolist() == [1, 0, 0]


def test_less_popularity_shows_more_items(data: TrainingSet, model: TrainedModel) -> None:
    points = trade_off(data, model, seed=1)
    assert tuple(point.factor for point in points) == FACTORS
    assert points[0].coverage >= points[-1].coverage and points[0].alike < points[-1].alike
    assert points[0].ndcg > points[-1].ndcg
    assert (points[-1].low, points[-1].high) == (0, 0)
    assert all(point.low <= point.ndcg - points[-1].ndcg <= point.high for point in points)


def test_the_test_period_is_not_looked_at(data: TrainingSet, model: TrainedModel) -> None:
    assert trade_off(replace(data, test=data.train), model, seed=1) == trade_off(data, model, seed=1)


def points(*ndcg: float, high: float = 0.01) -> tuple[TradeOffPoint, ...]:
    pairs = zip(FACTORS, ndcg, strict=True)
    return tuple(TradeOffPoint(factor=f, ndcg=n, coverage=0, alike=0, low=-0.1, high=high) for f, n in pairs)


@pytest.mark.parametrize(
    ("curve", "factor"),
    [
        (points(0.1, 0.1, 0.1, 0.1, 0.1), 0.25),
        (points(0.1, 0.097, 0.0981, 0.1, 0.1), 0.5),
        (points(0.2, 0.05, 0.05, 0.05, 0.1), 1.0),  # 0 is not chosen
        (points(0.1, 0.099, 0.099, 0.099, 0.1, high=-0.0001), 1.0),  # surely worse, however little
        ((), 1.0),
    ],
)
def test_the_least_weight_that_costs_little_is_chosen(curve: tuple[TradeOffPoint, ...], factor: float) -> None:
    if curve:
        curve = (*curve[:-1], curve[-1].model_copy(update={"low": 0, "high": 0}))
    assert balanced_factor(curve) == factor


def test_balanced_vectors_are_the_readout_with_the_smaller_weight(data: TrainingSet, model: TrainedModel) -> None:
    found = balanced(data, model, seed=1)
    assert isinstance(found.config, LightGCNConfig) and isinstance(model.config, LightGCNConfig)
    factor = found.config.popularity_weight / model.config.popularity_weight
    assert factor == balanced_factor(trade_off(data, model, seed=1)) < 1
    for fit in ("holdout", "release", "search"):
        ours, theirs = getattr(found, fit).items, getattr(model, fit).items
        assert np.array_equal(ours[:, :-1], theirs[:, :-1])
        assert ours[:, -1] == pytest.approx(theirs[:, -1] * factor)
    assert found.digest != model.digest
    again = train(TrainingInputs(data), found.config, seed=1)
    assert again.config.learned_dim == found.config.learned_dim


def test_an_incremental_model_and_one_without_popularity_stay(data: TrainingSet, model: TrainedModel) -> None:
    gone_on = replace(model, start=StartReport(mode="incremental"))
    assert balanced(data, gone_on, seed=1) is gone_on
    plain = train(TrainingInputs(data), LightGCNConfig(dim=8, steps=5, negatives=8), seed=1)
    assert trade_off(data, plain, seed=1) == () and balanced(data, plain, seed=1) is plain


@pytest.mark.parametrize(("alike", "found"), [(0.3, False), (0.499, False), (0.5, True), (0.97, True), (None, False)])
def test_lists_that_hardly_differ_are_a_finding(alike: float | None, found: bool) -> None:
    figures = {"ndcg@10": 0.3, "coverage@10": 0.0017} | ({} if alike is None else {"alike@10": alike})
    report = EvaluationReport(
        split=SplitSummary(evaluable=True), models={"lightgcn": figures, "item_knn": {"alike@10": 0.04}}
    )
    said = hardly_personal(report)
    assert (said is not None) is found
    if said is not None:
        assert "hardly personal" in said and "item_knn 4%" in said and "0.2% of the items" in said
