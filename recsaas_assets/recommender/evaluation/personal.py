"""Whether the lists of a model are personal: good figures of lists that hardly differ are a finding, and no success."""

from __future__ import annotations

from recsaas_assets.recommender.evaluation.report import EvaluationReport

ALIKE, COVERAGE = "alike@10", "coverage@10"
MOST_ALIKE = 0.5
"""Models on Online Retail, MovieLens-100K, Last.fm and the sample shop have 0.05 to 0.30, item-kNN 0.01 to 0.07, and a
popularity weight four times as great as the one chosen brings 0.36 to 0.63."""


def hardly_personal(report: EvaluationReport) -> str | None:
    """Say that two users' lists of the model under test are mostly the same; None when they are not, or are unknown."""
    figures = report.models.get(report.model, {})
    found = figures.get(ALIKE)
    if found is None or found < MOST_ALIKE:
        return None
    others = ", ".join(
        f"{name} {each[ALIKE]:.0%}" for name, each in report.models.items() if name != report.model and ALIKE in each
    )
    return (
        f"Finding: the lists are hardly personal. Two users of {report.model} have {found:.0%} of their ten items in "
        f"common ({others}), and all lists together show {figures.get(COVERAGE, 0.0):.1%} of the items. "
        "Set training.personalisation to balanced for lists that follow popularity less, and see the trade-off in the "
        "report."
    )
