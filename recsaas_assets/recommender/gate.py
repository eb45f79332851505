"""Whether a freshly evaluated model may go live."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from recsaas_assets.recommender.report import MODEL, POPULARITY, EvaluationReport

Outcome = Literal["promote", "promote_popularity", "hold"]
MIN_USERS = 20
"""Below this many evaluated users a comparison says nothing."""


class Verdict(BaseModel):
    """What to do with the release, and why, in sentences for a person."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(report: EvaluationReport, live: bool) -> Verdict:
    """LightGCN goes live when it beats popularity by NDCG@10 on the test period, or when nobody can tell.

    Otherwise a live release stays (``hold``), and without one the release serves popularity and says so.
    """
    split = report.split
    if not split.evaluable:
        return Verdict(outcome="promote", reasons=(f"Promoted without evaluation: {split.reason}",))
    if split.evaluated_users < MIN_USERS:
        few = (
            f"Promoted without a comparison: the test period has {split.evaluated_users} users to evaluate on, "
            f"at least {MIN_USERS} are needed."
        )
        return Verdict(outcome="promote", reasons=(few,))
    model, popularity = report.models[MODEL]["ndcg@10"], report.models[POPULARITY]["ndcg@10"]
    measured = f"NDCG@10 on {split.evaluated_users} test users: LightGCN {model:.4f}, popularity {popularity:.4f}."
    if model > popularity:
        return Verdict(outcome="promote", reasons=(f"LightGCN beats popularity. {measured}",))
    if live:
        held = "LightGCN does not beat popularity, so the live release stays. Upload more interactions and run again."
        return Verdict(outcome="hold", reasons=(held, measured))
    served = "LightGCN does not beat popularity and no release is live, so this release serves popularity."
    return Verdict(outcome="promote_popularity", reasons=(served, measured))
