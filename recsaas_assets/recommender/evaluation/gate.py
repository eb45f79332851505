"""Whether a freshly evaluated model may go live."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from recsaas_assets.recommender.evaluation.against_live import behind_live, behind_second_stage
from recsaas_assets.recommender.evaluation.report import (
    DECIDING,
    POPULARITY,
    EvaluationReport,
    LiveSummary,
)
from recsaas_assets.recommender.evaluation.report_text import difference_text, how_compared
from recsaas_assets.recommender.evaluation.served import as_served, serving, why_served
from recsaas_assets.recommender.metrics.holdout import MIN_USERS

GateOutcome = Literal["promote", "promote_unmeasured", "promote_popularity", "hold"]
TOLERANCE = 0.05
"""Share of the live release's NDCG@10 by which a candidate may be worse, unless the tenant says otherwise."""
HOW_TO_FORCE = "To make it live all the same: recsaas releases promote TENANT VERSION --reason REASON"


class Verdict(BaseModel):
    """The decision on a release, with its reasons in sentences for a person."""

    model_config = ConfigDict(frozen=True)

    outcome: GateOutcome
    reasons: tuple[str, ...]
    serves: str = ""
    """The model, the item–item model or popularity that answers; empty: nothing was decided about it."""


def decide(report: EvaluationReport, *, tolerance: float = TOLERANCE, second_stage: float | None = None) -> Verdict:
    """A model goes live when it beats popularity and is not worse than the live release, both by NDCG@10.

    An item–item model that is surely better than the model under test takes its place in all of this (`served.py`).
    A first release goes live even if nothing can be told of it, and serves popularity if that is better. A live release
    that serves popularity is replaced by the better of the two, too. A model that is live stays when the candidate
    loses, and when they cannot be compared. A live release that is damaged counts as none.

    Args:
        tolerance: share of the live release's NDCG@10 by which the model may be worse.
        second_stage: what the candidate's second stage adds to its NDCG@10, 0 when it was dropped; None when the
            tenant asks for none.
    """
    served = serving(report, second_stage)
    if served == report.model:
        verdict = _decide(report, tolerance, second_stage)
    else:
        # The second stage orders candidates of the model under test, so that it goes with it.
        verdict = _decide(as_served(report, served), tolerance, None if second_stage is None else 0.0)
        verdict = verdict.model_copy(update={"reasons": (*verdict.reasons, why_served(report, served))})
    serves = POPULARITY if verdict.outcome == "promote_popularity" else served
    return verdict.model_copy(update={"serves": serves})


def _decide(report: EvaluationReport, tolerance: float, second_stage: float | None) -> Verdict:
    live = report.live
    if live is None or live.damaged:
        return _first(report)
    if live.algorithm == POPULARITY:
        return _after_popularity(report, live, tolerance)
    return _after_model(report, live, tolerance, second_stage)


def _first(report: EvaluationReport) -> Verdict:
    damaged = (f"The live release cannot answer: {report.not_compared}",) if report.not_compared else ()
    unmeasured = _nothing_measured(report)
    if unmeasured:
        return Verdict(outcome="promote_unmeasured", reasons=(f"Promoted without evaluation: {unmeasured}", *damaged))
    if report.split.evaluated_users < MIN_USERS:
        few = f"Promoted without a comparison: {_few(report)}"
        return Verdict(outcome="promote_unmeasured", reasons=(few, *damaged))
    beaten = _beaten_by_popularity(report)
    if beaten:
        served = f"{beaten[0]} No release is live, so this release serves popularity."
        return Verdict(outcome="promote_popularity", reasons=(served, *beaten[1:], *damaged))
    return Verdict(outcome="promote", reasons=(_won(report), *damaged))


def _after_popularity(report: EvaluationReport, live: LiveSummary, tolerance: float) -> Verdict:
    """Never held: either the model goes live, or popularity does, with the newer interactions."""

    def refreshed(*reasons: str) -> Verdict:
        served = f"{reasons[0]} The live release {live.version} serves popularity, and so does this newer one."
        return Verdict(outcome="promote_popularity", reasons=(served, *reasons[1:]))

    unmeasured = _nothing_measured(report)
    if unmeasured:
        return refreshed(f"The model could not be evaluated: {unmeasured}")
    beaten = _beaten_by_popularity(report)
    if beaten:
        return refreshed(*beaten)
    if report.split.evaluated_users < MIN_USERS:
        return Verdict(
            outcome="promote_unmeasured", reasons=(f"Promoted without a comparison: {_few(report)}", _won(report))
        )
    if report.comparison is None:
        return Verdict(outcome="promote", reasons=(_won(report), _not_compared(report)))
    worse, reasons = behind_live(report.comparison, tolerance)
    return refreshed(*reasons) if worse else Verdict(outcome="promote", reasons=(*reasons, _won(report)))


def _after_model(report: EvaluationReport, live: LiveSummary, tolerance: float, second_stage: float | None) -> Verdict:
    unmeasured = _nothing_measured(report)
    if unmeasured and live.measured:
        held = f"Held, the live release {live.version} stays: the candidate could not be evaluated: {unmeasured}"
        return Verdict(outcome="hold", reasons=(held, HOW_TO_FORCE))
    if unmeasured:
        blind = f"Promoted without evaluation, as the live release {live.version} was: {unmeasured}"
        return Verdict(outcome="promote_unmeasured", reasons=(blind,))
    beaten = _beaten_by_popularity(report)
    if beaten:
        held = f"{beaten[0]} The live release stays. Upload more interactions and run again."
        return Verdict(outcome="hold", reasons=(held, *beaten[1:]))
    comparison = report.comparison
    if comparison is None:
        held = f"Held, the live release {live.version} stays. {_not_compared(report)}"
        return Verdict(outcome="hold", reasons=(held, _won(report), HOW_TO_FORCE))
    worse, reasons = behind_live(comparison, tolerance)
    if not worse:
        worse, said = behind_second_stage(comparison, live, second_stage, tolerance)
        reasons = (*said, *reasons) if worse else (*reasons, *said)
    if worse:
        return Verdict(outcome="hold", reasons=(*reasons, _won(report)))
    if comparison.users < MIN_USERS:
        few = f"Promoted on too few users to be sure: {_few(report)}"
        return Verdict(outcome="promote_unmeasured", reasons=(few, *reasons, _won(report)))
    return Verdict(outcome="promote", reasons=(*reasons, _won(report)))


def _nothing_measured(report: EvaluationReport) -> str:
    """The reason why there is no figure; empty when there are some."""
    split = report.split
    if not split.evaluable:
        return split.reason
    return "" if report.models else _few(report)


def _few(report: EvaluationReport) -> str:
    return f"the test period has {report.split.evaluated_users} users to evaluate on, at least {MIN_USERS} are needed."


def _not_compared(report: EvaluationReport) -> str:
    return f"Not compared with the live release: {report.not_compared}"


def _won(report: EvaluationReport) -> str:
    model, popularity = report.models[report.model][DECIDING], report.models[POPULARITY][DECIDING]
    stands = "beats" if model > popularity else "is as good as"
    return f"The model ({report.model}) {stands} popularity. {_on_the_test_period(report)}"


def _beaten_by_popularity(report: EvaluationReport) -> tuple[str, ...]:
    """The reason to serve popularity instead; empty when it is not.

    On few new interactions only a clear defeat counts, and with few users a draw is none.
    """
    lead = report.models[report.model][DECIDING] - report.models[POPULARITY][DECIDING]
    if lead < 0 or (lead == 0 and report.split.evaluated_users >= MIN_USERS):
        return (f"The model ({report.model}) does not beat popularity.", _on_the_test_period(report))
    comparison = report.comparison
    if comparison is not None and comparison.against_popularity.worse:
        behind = difference_text(comparison.against_popularity)
        return (
            f"Popularity beats the model ({report.model}) on the newest interactions: NDCG@10 {behind}.",
            how_compared(comparison),
        )
    return ()


def _on_the_test_period(report: EvaluationReport) -> str:
    model, popularity = report.models[report.model][DECIDING], report.models[POPULARITY][DECIDING]
    return (
        f"NDCG@10 on {report.split.evaluated_users} test users: {report.model} {model:.4f}, "
        f"popularity {popularity:.4f}."
    )
