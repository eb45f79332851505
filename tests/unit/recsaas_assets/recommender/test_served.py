"""What a release serves, from figures that are made up."""

from __future__ import annotations

import pytest

from recsaas_assets.recommender.evaluation.gate import decide
from recsaas_assets.recommender.evaluation.report import (
    Comparison,
    Difference,
    Duel,
    EvaluationReport,
    LiveSummary,
    SplitSummary,
)
from recsaas_assets.recommender.evaluation.report_text import report_markdown
from recsaas_assets.recommender.evaluation.served import ahead_of_served, as_served, contender
from tests.unit.recsaas_assets.recommender.live_shop import START

LIVE = LiveSummary(version="R1", algorithm="item_knn")
ORDER = ("lightgcn", "popularity", "item_knn", "ease")


def difference(value: float, low: float, high: float) -> Difference:
    return Difference(value=value, low=low, high=high, users=100, reference=0.2)


def report(
    figures: dict[str, tuple[float, float]], *, error: float = 0.01, users: int = 100, **fields: object
) -> EvaluationReport:
    """NDCG@10 and Recall@20 of each model; every difference is known to ± ``error``."""
    duels = []
    for place, ours in enumerate(figures):
        for theirs in list(figures)[place + 1 :]:
            for n, metric in enumerate(("ndcg@10", "recall@20")):
                lead = figures[ours][n] - figures[theirs][n]
                found = difference(lead, lead - error, lead + error)
                duels.append(Duel(ours=ours, theirs=theirs, metric=metric, difference=found))
    made = EvaluationReport.model_validate(
        {
            "split": SplitSummary(evaluable=True, test_start=START, evaluated_users=users),
            "models": {name: {"ndcg@10": ndcg, "recall@20": recall} for name, (ndcg, recall) in figures.items()},
            "duels": duels,
            **fields,
        }
    )
    return made.model_copy(update={"contender": contender(made)})


def shop(
    model: tuple[float, float], knn: tuple[float, float], ease: tuple[float, float] = (0, 0), **fields: object
) -> EvaluationReport:
    return report(dict(zip(ORDER, (model, (0.1, 0.1), knn, ease), strict=True)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "knn", "ease", "served", "known"),
    [
        pytest.param((0.20, 0.30), (0.18, 0.28), (0.19, 0.29), "lightgcn", True, id="the model is best"),
        pytest.param((0.20, 0.30), (0.209, 0.309), (0.1, 0.1), "lightgcn", True, id="a draw stays with the model"),
        pytest.param((0.20, 0.30), (0.22, 0.32), (0.1, 0.1), "item_knn", True, id="a table is surely ahead"),
        pytest.param((0.20, 0.30), (0.22, 0.32), (0.24, 0.33), "ease", True, id="the best of two"),
        pytest.param((0.20, 0.30), (0.22, 0.30), (0.215, 0.33), "ease", True, id="the one that finds more"),
        pytest.param((0.20, 0.30), (0.205, 0.33), (0.1, 0.1), "item_knn", True, id="ahead in recall alone"),
        pytest.param((0.20, 0.30), (0.18, 0.33), (0.1, 0.1), "lightgcn", False, id="ahead in one, behind in one"),
        pytest.param((0.09, 0.09), (0.095, 0.095), (0.1, 0.1), "popularity", True, id="nothing beats popularity"),
        pytest.param((0.09, 0.115), (0.095, 0.12), (0.115, 0.12), "ease", True, id="a table beats popularity"),
    ],
)
def test_the_best_known_is_served(
    model: tuple[float, float], knn: tuple[float, float], ease: tuple[float, float], served: str, known: bool
) -> None:
    measured = shop(model, knn, ease)
    verdict = decide(measured)
    assert verdict.serves == served
    assert verdict.outcome == ("promote_popularity" if served == "popularity" else "promote")
    assert (ahead_of_served(measured, served) == ()) == known
    assert any(f"Served by {served}" in reason for reason in verdict.reasons) == (served in ("item_knn", "ease"))


def test_what_is_not_the_best_known_is_found_out() -> None:
    measured = shop((0.20, 0.30), (0.22, 0.30), (0.1, 0.1))
    (found,) = ahead_of_served(measured, "lightgcn")
    assert (
        found == "item_knn is surely ahead of lightgcn: NDCG@10 +0.0200 (95 % interval +0.0100 to +0.0300, 100 users)."
    )
    assert len(ahead_of_served(measured, "popularity")) == 4
    staged = measured.model_copy(update={"second_stage": {"ndcg@10": 0.215, "recall@20": 0.3}})
    assert ahead_of_served(staged, "lightgcn") == (), "with the second stage the interval is not above zero"


@pytest.mark.parametrize(
    ("gain", "served"), [(None, "item_knn"), (0.0, "item_knn"), (0.005, "item_knn"), (0.02, "lightgcn")]
)
def test_a_table_has_to_be_ahead_of_the_model_with_its_second_stage(gain: float | None, served: str) -> None:
    assert decide(shop((0.20, 0.30), (0.22, 0.32)), second_stage=gain).serves == served


def test_few_users_do_not_make_a_contender() -> None:
    assert contender(shop((0.20, 0.30), (0.30, 0.40), users=19)) == ""


def compared(low: float, high: float) -> Comparison:
    found = difference((low + high) / 2, low, high)
    return Comparison(
        release="R1",
        holdout="since_live",
        since=START,
        users=50,
        models={},
        intervals={},
        differences={"ndcg@10": found, "recall@20": found},
        cohorts={},
        against_popularity=difference(0.1, 0.05, 0.15),
    )


def test_the_contender_is_what_is_compared_with_the_live_release() -> None:
    behind, ahead = compared(-0.1, -0.05), compared(0.01, 0.02)
    measured = shop((0.20, 0.30), (0.22, 0.32), live=LIVE, comparison=behind, contender_comparison=ahead)
    won = decide(measured)
    assert (won.outcome, won.serves) == ("promote", "item_knn")
    assert won.reasons[0].startswith("Better than the live release R1")
    turned = measured.model_copy(update={"comparison": ahead, "contender_comparison": behind})
    held = decide(turned)
    assert (held.outcome, held.serves) == ("hold", "item_knn")
    missing = measured.model_copy(update={"contender_comparison": None, "not_compared": "the table is too large."})
    assert decide(missing).outcome == "hold"


def test_the_report_says_what_is_served() -> None:
    measured = shop((0.20, 0.30), (0.22, 0.32)).model_copy(update={"served": "item_knn"})
    text = report_markdown(measured)
    assert "NDCG@10 of lightgcn minus that of each other model" in text
    assert "Recall@20 of lightgcn minus that of each other model" in text
    assert "- item_knn: −0.0200 (95 % interval −0.0300 to −0.0100, 100 users)" in text
    assert "The release with this report serves item_knn." in text
    served = as_served(measured, "item_knn")
    assert (served.model, served.contender) == ("item_knn", "")
    assert as_served(measured, "lightgcn") == measured
