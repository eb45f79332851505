"""The evaluation report: what it holds, and how a person reads it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

MODEL = "lightgcn"
POPULARITY = "popularity"
METRICS = ("ndcg@10", "recall@20", "precision@10", "mrr", "coverage@10", "novelty@10")

Figures = dict[str, float]
Intervals = dict[str, tuple[float, float]]


class SplitSummary(BaseModel):
    """The test period, and how many of its users and pairs each figure speaks about."""

    model_config = ConfigDict(frozen=True)

    evaluable: bool
    reason: str = ""
    validation_start: datetime | None = None
    test_start: datetime | None = None
    train_interactions: int = 0
    validation_interactions: int = 0
    test_interactions: int = 0
    test_users: int = 0
    evaluated_users: int = 0
    """Users behind the main figures: known before the test, with at least one known item they had not seen."""
    new_users: int = 0
    """Test users without any pair before the test: measured in the cohort ``new_users`` only."""
    users_without_target: int = 0
    """Known test users who interacted with nothing but seen or cold items: not in the main figures."""
    test_pairs: int = 0
    evaluated_pairs: int = 0
    repeat_pairs: int = 0
    """Test pairs the user had before: in the cohort ``seen_included`` only."""
    cold_item_pairs: int = 0
    """Test pairs whose item had no interaction before the test: no model can rank it."""
    cold_items: int = 0


class Cohort(BaseModel):
    """Figures for a part of the test users or of their targets, per model."""

    model_config = ConfigDict(frozen=True)

    about: str
    users: int
    pairs: int
    models: dict[str, Figures] = {}


class EvaluationReport(BaseModel):
    """All figures of one evaluation. ``intervals`` mirrors ``models`` with 95 % bootstrap intervals over users."""

    model_config = ConfigDict(frozen=True)

    split: SplitSummary
    models: dict[str, Figures] = {}
    intervals: dict[str, Intervals] = {}
    cohorts: dict[str, Cohort] = {}


def report_markdown(report: EvaluationReport) -> str:
    """The report as Markdown: split, one table of all models, one table per cohort."""
    split = report.split
    if not split.evaluable:
        return f"# Evaluation\n\nNot evaluated: {split.reason}\n"
    lines = [
        "# Evaluation",
        "",
        f"Test period from {split.test_start:%Y-%m-%d %H:%M} UTC. Full ranking of all known items, seen items left "
        "out, mean over users with a 95 % bootstrap interval.",
        "",
        f"{split.evaluated_users} of {split.test_users} test users are in the main table; {split.new_users} are new "
        f"and {split.users_without_target} only met seen or cold items.",
        f"{split.evaluated_pairs} of {split.test_pairs} test pairs are targets; {split.repeat_pairs} are repeats and "
        f"{split.cold_item_pairs} are of {split.cold_items} cold items.",
        "",
        *_table(report.models, report.intervals),
    ]
    for name, cohort in report.cohorts.items():
        title = name.replace("_", " ").capitalize()
        lines += ["", f"## {title}", "", f"{cohort.about} {cohort.users} users, {cohort.pairs} pairs.", ""]
        lines += _table(cohort.models, {})
    return "\n".join(lines).rstrip() + "\n"


def _table(models: dict[str, Figures], intervals: dict[str, Intervals]) -> list[str]:
    if not models:
        return []
    metrics = [metric for metric in METRICS if any(metric in figures for figures in models.values())]
    lines = ["| model | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for model, figures in models.items():
        cells = []
        for metric in metrics:
            interval = intervals.get(model, {}).get(metric)
            spread = f" ({interval[0]:.4f}–{interval[1]:.4f})" if interval else ""
            cells.append(f"{figures[metric]:.4f}{spread}" if metric in figures else "")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return lines
