"""The evaluation report as Markdown."""

from __future__ import annotations

from recsaas_assets.recommender.evaluation.report import (
    DUEL_METRICS,
    Comparison,
    Difference,
    EvaluationReport,
    Figures,
    Intervals,
)

QUALITY = ("ndcg@10", "recall@20", "precision@10", "mrr")
LISTS = ("coverage@10", "novelty@10", "popularity_percentile@10", "head_share@10", "gini@10")


def report_markdown(report: EvaluationReport, *, plot: str | None = None) -> str:
    """The report as Markdown: split, tables of all models, the live release, one table per cohort.

    ``plot`` is the address of the picture that belongs to it.
    """
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
        *_table(_as_served(report), report.intervals, QUALITY),
    ]
    if plot and report.models:
        lines += ["", f"![Figures by model and cohort]({plot})"]
    lines += [f"\nNot in the table: {name}. {reason}" for name, reason in report.left_out.items()]
    lines += _leads(report)
    if report.models:
        lines += ["", "## What the lists are made of", ""]
        lines += [
            "Coverage: share of the items that anybody is shown. Novelty: bits. Popularity percentile: 1 is the most "
            "popular item. Head share: places taken by the most popular fifth. Gini: 0 when all items are shown "
            "equally often, 1 when one takes all.",
            "",
            *_table(report.models, report.intervals, LISTS),
        ]
    if report.comparison:
        lines += ["", "## Against the live release", "", *_comparison(report.comparison)]
    elif report.not_compared:
        lines += ["", "## Against the live release", "", f"Not compared: {report.not_compared}"]
    for name, cohort in report.cohorts.items():
        lines += ["", f"## {cohort_title(name)}", "", f"{cohort.about} {cohort.users} users, {cohort.pairs} pairs.", ""]
        lines += _table(cohort.models, cohort.intervals, (*QUALITY, *LISTS))
    return "\n".join(lines).rstrip() + "\n"


def cohort_title(name: str) -> str:
    """A cohort's name for people."""
    return name.replace("_", " ").capitalize()


def difference_text(difference: Difference) -> str:
    """`−0.0123 (95 % interval −0.0200 to −0.0046, 210 users)`."""
    spread = f"{_signed(difference.low)} to {_signed(difference.high)}"
    return f"{_signed(difference.value)} ({100 * difference.level:g} % interval {spread}, {difference.users} users)"


def how_compared(comparison: Comparison) -> str:
    """One sentence on which fits were compared on which holdout."""
    if comparison.holdout == "since_live":
        return (
            f"Both were measured on what happened after {comparison.since:%Y-%m-%d %H:%M} UTC, which neither has seen: "
            f"release {comparison.release} with its stored vectors, the candidate's recipe fitted on everything before."
        )
    measured = f"on the test period from {comparison.since:%Y-%m-%d %H:%M} UTC"
    if comparison.same_recipe and comparison.live_start == "incremental":
        return (
            f"Hardly anything is newer than release {comparison.release}, which was trained incrementally; the "
            f"candidate is the full fit of the same recipe: {measured} the two cannot be told apart."
        )
    if comparison.same_recipe:
        return (
            f"Hardly anything is newer than release {comparison.release}, and the candidate has the same recipe: "
            f"{measured} both are the same fit."
        )
    again = ", in full although it had been trained incrementally," if comparison.live_start == "incremental" else ""
    return (
        f"Hardly anything is newer than release {comparison.release}, so its recipe was fitted again without the "
        f"newest interactions{again} and both were measured {measured}."
    )


def _leads(report: EvaluationReport) -> list[str]:
    """The model minus each other, in both metrics that count, and what is better than it."""
    lines: list[str] = []
    for metric in DUEL_METRICS:
        duels = [each for each in report.duels if (each.ours, each.metric) == (report.model, metric)]
        if duels:
            title = metric.replace("ndcg", "NDCG").replace("recall", "Recall")
            lines += ["", f"{title} of {report.model} minus that of each other model, paired by user:", ""]
            lines += [f"- {each.theirs}: {difference_text(each.difference)}" for each in duels]
    if report.contender:
        lines += ["", f"Of the models that can be served instead of {report.model}, {report.contender} is the best."]
    if report.served:
        lines += ["", f"The release with this report serves {report.served}."]
    return lines


def _as_served(report: EvaluationReport) -> dict[str, Figures]:
    """The models of the main table, with the model's second stage below the model."""
    if not report.second_stage:
        return report.models
    served = {f"{report.model}+second_stage": report.second_stage}
    return {report.model: report.models[report.model], **served, **report.models}


def _comparison(comparison: Comparison) -> list[str]:
    lines = [how_compared(comparison), "", *_table(comparison.models, comparison.intervals, QUALITY)]
    lines += ["", "Candidate minus live, paired by user:", ""]
    lines += [f"- {metric}: {difference_text(each)}" for metric, each in comparison.differences.items()]
    lines += [f"- {name.replace('_', ' ')}, ndcg@10: {difference_text(d)}" for name, d in comparison.cohorts.items()]
    return lines


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _table(models: dict[str, Figures], intervals: dict[str, Intervals], wanted: tuple[str, ...]) -> list[str]:
    metrics = [metric for metric in wanted if any(metric in figures for figures in models.values())]
    if not metrics:
        return []
    lines = ["| model | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for model, figures in models.items():
        cells = []
        for metric in metrics:
            interval = intervals.get(model, {}).get(metric)
            spread = f" ({interval[0]:.4f}–{interval[1]:.4f})" if interval else ""
            cells.append(f"{figures[metric]:.4f}{spread}" if metric in figures else "")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return lines
