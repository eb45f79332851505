"""The verdict, from figures that are made up."""

from __future__ import annotations

import pytest

from recsaas_assets.recommender.evaluation.comparison import COHORT_LEVEL
from recsaas_assets.recommender.evaluation.gate import decide
from recsaas_assets.recommender.evaluation.report import (
    Comparison,
    Difference,
    EvaluationReport,
    LiveSummary,
    SplitSummary,
)
from tests.unit.recsaas_assets.recommender.live_shop import START

LIVE = LiveSummary(version="R1", algorithm="lightgcn")
POPULAR = LiveSummary(version="R1", algorithm="popularity")
BLIND = LiveSummary(version="R1", algorithm="lightgcn", measured=False)
DAMAGED = LiveSummary(version="R1", damaged=True)


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


def compared(
    overall: Difference, *, live: LiveSummary = LIVE, users: int = 50, **cohorts: Difference
) -> EvaluationReport:
    comparison = Comparison(
        release="R1",
        holdout="since_live",
        since=START,
        users=users,
        models={},
        intervals={},
        differences={"ndcg@10": overall, "recall@20": overall},
        cohorts=cohorts,
        against_popularity=difference(0.1, 0.05, 0.15),
    )
    return report(comparison=comparison, live=live, users=users)


@pytest.mark.parametrize(
    ("model", "popularity", "live", "outcome"),
    [
        (0.2, 0.1, None, "promote"),
        (0.2, 0.1, DAMAGED, "promote"),
        (0.1, 0.1, LIVE, "hold"),
        (0.1, 0.2, LIVE, "hold"),
        (0.1, 0.2, BLIND, "hold"),
        (0.1, 0.2, None, "promote_popularity"),
        (0.1, 0.2, DAMAGED, "promote_popularity"),
        (0.1, 0.2, POPULAR, "promote_popularity"),
    ],
)
def test_popularity_must_be_beaten(model: float, popularity: float, live: LiveSummary | None, outcome: str) -> None:
    assert decide(report(model, popularity, live=live)).outcome == outcome


@pytest.mark.parametrize(
    ("live", "outcome"),
    [
        (None, "promote_unmeasured"),
        (DAMAGED, "promote_unmeasured"),
        (BLIND, "promote_unmeasured"),
        (LIVE, "hold"),
        (POPULAR, "promote_popularity"),
    ],
)
def test_a_release_that_was_measured_is_not_replaced_by_a_model_that_was_not(
    live: LiveSummary | None, outcome: str
) -> None:
    unsplit = EvaluationReport(split=SplitSummary(evaluable=False, reason="1 interaction."), live=live)
    nobody = EvaluationReport(split=SplitSummary(evaluable=True), live=live)
    verdicts = [decide(unsplit), decide(nobody)]
    assert [verdict.outcome for verdict in verdicts] == [outcome] * 2
    assert "1 interaction." in verdicts[0].reasons[0]
    assert "the test period has 0 users" in verdicts[1].reasons[0]
    assert (outcome == "hold") == ("--reason" in verdicts[0].reasons[-1])


def test_a_first_model_with_too_few_users_goes_live_unmeasured() -> None:
    verdict = decide(report(0.1, 0.2, users=19))
    assert verdict.outcome == "promote_unmeasured"
    assert "19 users" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("mean", "popularity", "outcome", "said"),
    [
        (-0.009, 0.2, "promote_unmeasured", "Promoted on too few users to be sure: the test period has 19 users"),
        (-0.011, 0.1, "hold", "too few users to be sure, and on average the candidate is worse by more than"),
        (0.011, 0.21, "hold", "does not beat popularity"),
    ],
)
def test_few_users_and_a_live_model_go_by_the_means(mean: float, popularity: float, outcome: str, said: str) -> None:
    measured = compared(difference(mean, -0.1, 0.1), users=19)
    figures = {"lightgcn": {"ndcg@10": 0.2}, "popularity": {"ndcg@10": popularity}}
    verdict = decide(measured.model_copy(update={"models": figures}))
    assert verdict.outcome == outcome
    assert said in verdict.reasons[0]


@pytest.mark.parametrize(("popularity", "outcome"), [(0.2, "promote_unmeasured"), (0.21, "promote_popularity")])
def test_few_users_and_live_popularity(popularity: float, outcome: str) -> None:
    assert decide(report(0.2, popularity, users=19, live=POPULAR)).outcome == outcome


def test_losing_to_the_popularity_that_is_live_refreshes_it() -> None:
    verdict = decide(compared(difference(-0.03, -0.05, -0.01), live=POPULAR))
    assert verdict.outcome == "promote_popularity"
    assert "release R1 serves popularity, and so does this newer one" in verdict.reasons[0]


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
    verdict = decide(compared(difference(*overall)))
    assert verdict.outcome == outcome
    assert said in verdict.reasons[0]
    assert any("recall@20" in reason for reason in verdict.reasons)
    assert any("neither has seen" in reason for reason in verdict.reasons)


def test_the_tolerance_is_the_tenants() -> None:
    worse = compared(difference(-0.03, -0.05, 0.001))
    assert decide(worse).outcome == "hold"
    assert decide(worse, tolerance=0.2).outcome == "promote"


def test_a_cohort_that_loses_holds_a_candidate_that_wins() -> None:
    tail = difference(-0.06, -0.1, -0.02, level=COHORT_LEVEL)
    verdict = decide(compared(difference(0.02, 0.01, 0.03), tail_items=tail))
    assert verdict.outcome == "hold"
    assert verdict.reasons[0].startswith("Held, the live release stays: on less popular items the candidate is worse")
    assert "−0.0600 (99 % interval −0.1000 to −0.0200, 50 users), from 0.2000" in verdict.reasons[0]
    assert "is worse than release R1 by more than the tolerated 5%" in verdict.reasons[0]
    within = difference(-0.009, -0.017, -0.001, level=COHORT_LEVEL)
    verdict = decide(compared(difference(0.02, 0.01, 0.03), tail_items=within))
    assert "is worse than release R1 and maybe by more than the tolerated 5%" in verdict.reasons[0]
    unclear = difference(-0.06, -0.15, 0.03, level=COHORT_LEVEL)
    assert decide(compared(difference(0.02, 0.01, 0.03), tail_items=unclear)).outcome == "promote"


def test_a_clear_defeat_by_popularity_on_new_interactions_holds() -> None:
    won = compared(difference(0.02, 0.01, 0.03)).comparison
    assert won is not None
    lost = won.model_copy(update={"against_popularity": difference(-0.03, -0.05, -0.01)})
    verdict = decide(report(comparison=lost, live=LIVE))
    assert verdict.outcome == "hold"
    assert "Popularity beats the model (lightgcn) on the newest interactions" in verdict.reasons[0]


def test_a_model_that_could_not_be_compared_is_held_unless_popularity_is_live() -> None:
    verdict = decide(report(not_compared="its recipe is of another time.", live=LIVE))
    assert verdict.outcome == "hold"
    assert "Not compared with the live release: its recipe is of another time." in verdict.reasons[0]
    assert "recsaas releases promote TENANT VERSION --reason" in verdict.reasons[-1]
    assert decide(report(not_compared="so it is.", live=POPULAR)).outcome == "promote"
    assert decide(report(not_compared="a file is missing.", live=DAMAGED)).reasons[-1].endswith("a file is missing.")


@pytest.mark.parametrize(
    ("had", "adds", "low", "outcome", "said"),
    [
        (None, 0.0, -0.001, "promote", "Not worse"),
        (0.01, 0.0, 0.005, "hold", "the second stage of release R1 added +0.0100 to its NDCG@10"),
        (0.01, 0.0, 0.011, "promote", "Better"),
        (0.01, None, -0.001, "promote", "Not worse"),
        (0.01, 0.01, -0.001, "promote", "Not worse"),
        # 0.012 + 0.01 − 0.04 is below 5 % of 0.2 + 0.04
        (0.04, 0.01, -0.001, "hold", "with second stages the candidate is worse by more than the tolerated 5%"),
    ],
)
def test_a_second_stage_that_is_live_is_not_lost(
    had: float | None, adds: float | None, low: float, outcome: str, said: str
) -> None:
    live = LIVE.model_copy(update={"second_stage": had})
    verdict = decide(compared(difference(0.012, low, 0.03), live=live), second_stage=adds)
    assert verdict.outcome == outcome
    assert said in verdict.reasons[0]
    assert (had is not None) == any("second stage" in reason for reason in verdict.reasons)
