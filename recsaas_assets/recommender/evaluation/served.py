"""Which of the measured models a release serves: the model under test, unless an item–item model is surely ahead."""

from __future__ import annotations

from recsaas_assets.recommender.evaluation.report import (
    DECIDING,
    DUEL_METRICS,
    POPULARITY,
    Difference,
    EvaluationReport,
)
from recsaas_assets.recommender.evaluation.report_text import difference_text
from recsaas_assets.recommender.item_models.fitted import KINDS
from recsaas_assets.recommender.metrics.holdout import MIN_USERS


def contender(report: EvaluationReport) -> str:
    """The item–item model to serve instead of the model under test; empty when none is surely better.

    One is better than another when the whole interval of their difference in NDCG@10 says so, or that in Recall@20
    while the one in NDCG@10 does not say the contrary. Of several the one with the best NDCG@10 is taken. A model that
    is not better than popularity on average gives way to the best one that surely is.
    """
    tables = sorted((kind for kind in KINDS if kind in report.models), key=lambda kind: -report.models[kind][DECIDING])
    if report.split.evaluated_users < MIN_USERS or not tables:
        return ""
    rivals = [report.model]
    if report.models[report.model][DECIDING] <= report.models[POPULARITY][DECIDING]:
        rivals.append(POPULARITY)
    better = [kind for kind in tables if any(_better(report, kind, rival) for rival in rivals)]
    unbeaten = [kind for kind in better if not any(_better(report, other, kind) for other in better if other != kind)]
    return next(iter(unbeaten or better), "")


def serving(report: EvaluationReport, second_stage: float | None) -> str:
    """The model under test or the contender, given what a second stage of the model adds to its NDCG@10.

    With a second stage the contender has to be ahead by more than that.
    """
    if not report.contender:
        return report.model
    lead = paired_lead(report, report.contender, report.model, DECIDING)
    if second_stage is None or second_stage <= 0 or lead is None or lead.low > second_stage:
        return report.contender
    return report.model


def as_served(report: EvaluationReport, served: str) -> EvaluationReport:
    """The report as one on what is served: the contender takes the place of the model under test."""
    if served != report.contender or not served:
        return report
    return report.model_copy(
        update={"model": served, "comparison": report.contender_comparison, "contender": "", "second_stage": {}}
    )


def why_served(report: EvaluationReport, served: str) -> str:
    """A sentence on the place that the contender takes."""
    found = {metric: paired_lead(report, served, report.model, metric) for metric in DUEL_METRICS}
    leads = "; ".join(f"{_title(metric)} {difference_text(each)}" for metric, each in found.items() if each is not None)
    if _better(report, served, report.model):
        return f"Served by {served}, which is surely ahead of {report.model} on the test period: {leads}."
    return (
        f"Served by {served}: {report.model} does not beat popularity on the test period, and {served} surely does. "
        f"{served} minus {report.model}: {leads}."
    )


def ahead_of_served(report: EvaluationReport, served: str) -> tuple[str, ...]:
    """A sentence for each measured model and metric that is surely ahead of what is served; right when there is none.

    The second stage counts by what it adds to the mean.
    """
    found = []
    for other in report.models:
        for metric in DUEL_METRICS if other != served else ():
            lead = paired_lead(report, other, served, metric)
            gain = 0.0
            if served == report.model and report.second_stage:
                gain = report.second_stage.get(metric, 0.0) - report.models[served].get(metric, 0.0)
            if lead is not None and lead.low > gain:
                found.append(f"{other} is surely ahead of {served}: {_title(metric)} {difference_text(lead)}.")
    return tuple(found)


def paired_lead(report: EvaluationReport, ours: str, theirs: str, metric: str) -> Difference | None:
    """One model's metric minus another's on the test period; None when they were not measured together."""
    for each in report.duels:
        if each.metric == metric and (each.ours, each.theirs) == (ours, theirs):
            return each.difference
        if each.metric == metric and (each.ours, each.theirs) == (theirs, ours):
            return each.difference.reversed
    return None


def _better(report: EvaluationReport, ours: str, theirs: str) -> bool:
    by_ndcg, by_recall = (paired_lead(report, ours, theirs, metric) for metric in DUEL_METRICS)
    if by_ndcg is None or by_recall is None or by_ndcg.worse:
        return False
    return by_ndcg.low > 0 or by_recall.low > 0


def _title(metric: str) -> str:
    return metric.replace("ndcg", "NDCG").replace("recall", "Recall")
