"""Whether a freshly evaluated model may go live."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from recsaas_assets.recommender.holdout import MIN_USERS
from recsaas_assets.recommender.report import DECIDING, POPULARITY, Comparison, Difference, EvaluationReport
from recsaas_assets.recommender.report_text import difference_text, how_compared

Outcome = Literal["promote", "promote_unmeasured", "promote_popularity", "hold"]
TOLERANCE = 0.05
"""Share of the live release's NDCG@10 by which a candidate may be worse, unless the tenant says otherwise."""


class Verdict(BaseModel):
    """What to do with the release, and why, in sentences for a person."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(report: EvaluationReport, *, live: bool, tolerance: float = TOLERANCE) -> Verdict:
    """A model goes live when it beats popularity and is not worse than the live release, both by NDCG@10.

    Nothing can be told from a test period that is too small: the model goes live unmeasured. A model that popularity
    beats is held when a release is ``live``; without one the release serves popularity and says so. ``tolerance`` is
    the share of the live release's NDCG@10 by which the model may be worse.
    """
    split = report.split
    if not split.evaluable:
        return Verdict(outcome="promote_unmeasured", reasons=(f"Promoted without evaluation: {split.reason}",))
    if split.evaluated_users < MIN_USERS:
        few = (
            f"Promoted without a comparison: the test period has {split.evaluated_users} users to evaluate on, "
            f"at least {MIN_USERS} are needed."
        )
        return Verdict(outcome="promote_unmeasured", reasons=(few,))
    beaten = _beaten_by_popularity(report)
    if beaten and live:
        held = f"{beaten[0]} The live release stays. Upload more interactions and run again."
        return Verdict(outcome="hold", reasons=(held, *beaten[1:]))
    if beaten:
        served = f"{beaten[0]} No release is live, so this release serves popularity."
        return Verdict(outcome="promote_popularity", reasons=(served, *beaten[1:]))
    won = f"The model ({report.model}) beats popularity. {_on_the_test_period(report)}"
    if report.comparison is None:
        uncompared = (f"Not compared with the live release: {report.not_compared}",) if report.not_compared else ()
        return Verdict(outcome="promote", reasons=(won, *uncompared))
    worse, reasons = _against_live(report.comparison, tolerance)
    return Verdict(outcome="hold" if worse else "promote", reasons=(*reasons, won))


def _beaten_by_popularity(report: EvaluationReport) -> tuple[str, ...]:
    """Why popularity is better; empty when it is not. On few new interactions only a clear defeat counts."""
    if report.models[report.model][DECIDING] <= report.models[POPULARITY][DECIDING]:
        return (f"The model ({report.model}) does not beat popularity.", _on_the_test_period(report))
    comparison = report.comparison
    if comparison is not None and comparison.against_popularity.worse:
        lead = difference_text(comparison.against_popularity)
        return (
            f"Popularity beats the model ({report.model}) on the newest interactions: NDCG@10 {lead}.",
            how_compared(comparison),
        )
    return ()


def _on_the_test_period(report: EvaluationReport) -> str:
    model, popularity = report.models[report.model][DECIDING], report.models[POPULARITY][DECIDING]
    return (
        f"NDCG@10 on {report.split.evaluated_users} test users: {report.model} {model:.4f}, "
        f"popularity {popularity:.4f}."
    )


def _against_live(comparison: Comparison, tolerance: float) -> tuple[bool, tuple[str, ...]]:
    """Whether the candidate is held, and all that was found; the reason that decides comes first."""
    overall = comparison.differences[DECIDING]
    version = comparison.release
    if comparison.same_recipe:
        return False, (how_compared(comparison),)
    others = [f"{name} {difference_text(d)}" for name, d in comparison.differences.items() if name != DECIDING]
    others += [f"{_cohort(name)} NDCG@10 {difference_text(d)}" for name, d in comparison.cohorts.items()]
    found = (how_compared(comparison), f"The other differences: {'; '.join(others)}.")
    worse, sentence = _overall(overall, version, tolerance)
    if worse:
        return True, (sentence, *found)
    behind = [
        f"Held, the live release stays: {_cohort(name)} the candidate is worse than release {version} by more than "
        f"the tolerated {tolerance:.0%}: NDCG@10 {difference_text(d)}, from {d.reference:.4f}."
        for name, d in comparison.cohorts.items()
        if d.worse and d.low < -tolerance * d.reference
    ]
    return bool(behind), (*behind, sentence, *found)


def _overall(overall: Difference, version: str, tolerance: float) -> tuple[bool, str]:
    margin = tolerance * overall.reference
    figures = f"NDCG@10 {difference_text(overall)}, from {overall.reference:.4f}"
    if overall.low > 0:
        return False, f"Better than the live release {version}: {figures}."
    if overall.low >= -margin:
        return (
            False,
            f"Not worse than the live release {version} by more than the tolerated {tolerance:.0%}: {figures}.",
        )
    if overall.worse:
        return True, f"Held, the live release stays: the candidate is worse than release {version}: {figures}."
    if overall.value >= -margin:
        return False, (
            f"The interval is too wide to tell whether the candidate is worse than the live release {version}; its "
            f"mean is within the tolerated {tolerance:.0%}, so it goes live: {figures}."
        )
    return True, (
        f"Held, the live release {version} stays: the interval is too wide to tell, and the candidate's mean is worse "
        f"by more than the tolerated {tolerance:.0%}: {figures}."
    )


def _cohort(name: str) -> str:
    return {
        "few_interactions": "for users with a short history",
        "many_interactions": "for users with a long history",
        "head_items": "on popular items",
        "tail_items": "on less popular items",
    }[name]
