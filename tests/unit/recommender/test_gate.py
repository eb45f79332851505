"""The verdict, from figures that are made up."""

from __future__ import annotations

import pytest

from recsaas_assets.recommender.comparison import COHORT_LEVEL
from recsaas_assets.recommender.gate import decide
from recsaas_assets.recommender.report import Comparison, Difference, EvaluationReport, SplitSummary
from tests.unit.recommender.live_shop import START


def report(model: float = 0.2, popularity: float = 0.1, users: int = 100, **fields: object) -> EvaluationReport:
    return EvaluationReport.model_validate(
        {
            "split": SplitSummary(evaluable=True, evaluated_users=users),
            "models": {"lightgcn": {"ndcg@10": model}, "popularity": {"ndcg@10": popularity}},
            **fields,
        }
    )


def difference(value: float, low: float, high: float, level: float = 0.95) -> Difference:
    return Difference(value=value, low=low, high=high, level=level, users=50, reference=0.2)


def compared(overall: Difference, **cohorts: Difference) -> EvaluationReport:
    comparison = Comparison(
        release="R1",
        holdout="since_live",
        since=START,
        users=50,
        models={},
        intervals={},
        differences={"ndcg@10": overall, "recall@20": overall},
        cohorts=cohorts,
        against_popularity=difference(0.1, 0.05, 0.15),
    )
    return report(comparison=comparison)


@pytest.mark.parametrize(
    ("model", "popularity", "live", "outcome"),
    [
        (0.2, 0.1, False, "promote"),
        (0.2, 0.1, True, "promote"),
        (0.1, 0.1, True, "hold"),
        (0.1, 0.2, True, "hold"),
        (0.1, 0.2, False, "promote_popularity"),
    ],
)
def test_popularity_must_be_beaten(model: float, popularity: float, live: bool, outcome: str) -> None:
    assert decide(report(model, popularity), live=live).outcome == outcome


def test_too_few_users_promote_unmeasured_and_name_the_number() -> None:
    verdict = decide(report(0.1, 0.2, users=19), live=True)
    assert verdict.outcome == "promote_unmeasured"
    assert "19 users" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("overall", "outcome", "said"),
    [
        # live 0.2, tolerance 5 %: the margin is 0.01
        ((0.02, 0.01, 0.03), "promote", "Better than the live release R1"),
        ((0.0, -0.01, 0.01), "promote", "Not worse than the live release R1 by more than the tolerated 5%"),
        ((-0.005, -0.009, -0.001), "promote", "Not worse than"),
        ((-0.009, -0.02, 0.002), "promote", "too wide to tell whether the candidate is worse"),
        ((-0.02, -0.05, 0.01), "hold", "too wide to tell, and the candidate's mean is worse"),
        ((-0.03, -0.05, -0.01), "hold", "the candidate is worse than release R1: NDCG@10 −0.0300 (95 % interval"),
    ],
)
def test_not_worse_than_the_live_release(overall: tuple[float, float, float], outcome: str, said: str) -> None:
    verdict = decide(compared(difference(*overall)), live=True)
    assert verdict.outcome == outcome
    assert said in verdict.reasons[0]
    assert any("recall@20" in reason for reason in verdict.reasons)
    assert any("neither has seen" in reason for reason in verdict.reasons)


def test_the_tolerance_is_the_tenants() -> None:
    worse = compared(difference(-0.03, -0.05, 0.001))
    assert decide(worse, live=True).outcome == "hold"
    assert decide(worse, live=True, tolerance=0.2).outcome == "promote"


def test_a_cohort_that_loses_holds_a_candidate_that_wins() -> None:
    tail = difference(-0.06, -0.1, -0.02, level=COHORT_LEVEL)
    verdict = decide(compared(difference(0.02, 0.01, 0.03), tail_items=tail), live=True)
    assert verdict.outcome == "hold"
    assert verdict.reasons[0].startswith("Held, the live release stays: on less popular items the candidate is worse")
    assert "−0.0600 (99 % interval −0.1000 to −0.0200, 50 users), from 0.2000" in verdict.reasons[0]
    unclear = difference(-0.06, -0.15, 0.03, level=COHORT_LEVEL)
    assert decide(compared(difference(0.02, 0.01, 0.03), tail_items=unclear), live=True).outcome == "promote"


def test_a_clear_defeat_by_popularity_on_new_interactions_holds() -> None:
    won = compared(difference(0.02, 0.01, 0.03)).comparison
    assert won is not None
    lost = won.model_copy(update={"against_popularity": difference(-0.03, -0.05, -0.01)})
    verdict = decide(report(comparison=lost), live=True)
    assert verdict.outcome == "hold"
    assert "Popularity beats the model (lightgcn) on the newest interactions" in verdict.reasons[0]


def test_why_there_is_no_comparison_is_a_reason() -> None:
    verdict = decide(report(not_compared="it is damaged."), live=True)
    assert verdict.reasons[-1] == "Not compared with the live release: it is damaged."
