"""The report as a person reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsaas_assets.recommender.baselines import implicit_models
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.live_model import DamagedRelease
from recsaas_assets.recommender.evaluation.model_report import report_on
from recsaas_assets.recommender.evaluation.plots import evaluation_png
from recsaas_assets.recommender.evaluation.report import EvaluationReport, LiveSummary
from recsaas_assets.recommender.evaluation.report_text import report_markdown
from recsaas_assets.recommender.item_models import ease, item_knn
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from tests.unit.recsaas_assets.recommender.live_shop import CONFIG, as_live, item_models_of, two_communities

PNG = b"\x89PNG"


def test_everything_is_in_the_report_and_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    data = two_communities(live_until=1090)
    model = train(TrainingInputs(data), CONFIG, seed=1)
    report = report_on(data, model, item_models_of(data), seed=0, live=as_live(data, model))
    assert list(report.models) == ["lightgcn", "popularity", "item_knn", "ease"]
    assert set(report.leads) == {"popularity", "item_knn", "ease"}
    assert report.leads["popularity"].low > 0
    assert report.intervals.keys() == report.models.keys()
    for name, figures in report.models.items():
        for metric, value in figures.items():
            low, high = report.intervals[name][metric]
            assert low <= value <= high, (name, metric)
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    text = report_markdown(report, plot="evaluation.png")
    for wanted in (
        "![Figures by model and cohort](evaluation.png)",
        "| model | coverage@10 | novelty@10 | popularity_percentile@10 | head_share@10 | gini@10 |",
        "## Against the live release",
        "which neither has seen: release 20240101T000000Z-00000000 with its stored vectors",
        "- tail items, ndcg@10: +0.0000 (99 % interval +0.0000 to +0.0000",
        "## Few interactions",
        "## Cold items",
    ):
        assert wanted in text
    assert evaluation_png(report).startswith(PNG)
    staged = report.model_copy(update={"second_stage": {"ndcg@10": 0.4321}})
    assert "\n| lightgcn+second_stage | 0.4321 |" in report_markdown(staged)

    monkeypatch.setattr(ease, "MAX_SIDE", 29)
    without = report_on(data, model, item_models_of(data), seed=0, live=DamagedRelease("R1", "the release is damaged."))
    assert (without.live, without.model_digest) == (LiveSummary(version="R1", damaged=True), model.digest)
    assert "ease" not in without.models
    assert (
        "Not in the table: ease. It is fitted up to 29 users or items, and there are 60 users and 30 items."
        in report_markdown(without)
    )
    assert "Not compared: the release is damaged." in report_markdown(without)


def test_nothing_to_measure_is_said_on_the_page_and_in_the_picture() -> None:
    data = two_communities(rows=1)
    report = report_on(data, train(TrainingInputs(data), CONFIG, seed=1), item_models_of(data), seed=0)
    assert report.models == {}
    assert report_markdown(report).startswith("# Evaluation\n\nNot evaluated: 1 interactions")
    assert evaluation_png(report).startswith(PNG)
    nobody = two_communities()
    empty = replace(nobody, test=Pairs.empty())
    report = report_on(empty, train(TrainingInputs(nobody), CONFIG, seed=1), item_models_of(empty), seed=0)
    assert report.split.evaluated_users == 0
    assert evaluation_png(report).startswith(PNG)


def test_what_cannot_be_fitted_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    data = two_communities()
    monkeypatch.setattr(implicit_models, "find_spec", lambda name: None)
    monkeypatch.setattr(item_knn, "MAX_PRODUCTS", 1)
    model = train(TrainingInputs(data), CONFIG, seed=1)
    report = report_on(data, model, item_models_of(data), seed=0, more_baselines=True)
    assert list(report.models) == ["lightgcn", "popularity", "ease"]
    assert set(report.left_out) == {"item_knn", "implicit_als", "implicit_bpr"}
    assert "pip install implicit" in report.left_out["implicit_als"]
    assert "Not in the table: item_knn. It counts pairs of items" in report_markdown(report)
