"""A search for people: a table of its trials, and a picture of how the best one came about."""

from __future__ import annotations

import io
import json

from recsaas_assets.recommender.search.search_result import Study, Trial

HEADER = ["trial", "state", "validation NDCG@10", "epochs", "seconds", "hyper-parameters"]


def rows(study: Study, *, limit: int | None = None) -> list[list[str]]:
    """One row per trial, best first, under `HEADER`; each with what it changed against trial 0."""
    ordered = sorted(study.trials, key=lambda trial: (-(trial.ndcg_at_10 or -1.0), trial.number))
    return [_row(trial, study) for trial in ordered[:limit]]


def changes(trial: Trial, study: Study) -> str:
    """Changes of the trial against trial 0, in words."""
    if trial.number == 0:
        return "as the search started"
    start = study.trials[0].hyperparameters
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {json.dumps(value)}"
        for name, value in trial.hyperparameters.items()
        if value != start[name]
    )


def trials_png(study: Study) -> bytes:
    """Validation NDCG@10 of the finished trials, the best so far, and where the search started, as a PNG."""
    # matplotlib takes long to import and is needed only here.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    measured = [(trial.number, trial.ndcg_at_10) for trial in study.trials if trial.ndcg_at_10 is not None]
    numbers = [number for number, _ in measured]
    values = [value for _, value in measured]
    axes.plot(numbers, values, linestyle="none", marker="o", label="finished trial")
    axes.step(numbers, [max(values[: place + 1]) for place in range(len(values))], where="post", label="best so far")
    axes.axhline(values[0], linestyle="--", linewidth=1, color="grey", label="defaults")
    axes.set(title="Hyper-parameter search", xlabel="trial", ylabel="validation NDCG@10")
    axes.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _row(trial: Trial, study: Study) -> list[str]:
    value = "" if trial.ndcg_at_10 is None else f"{trial.ndcg_at_10:.4f}"
    return [str(trial.number), trial.state, value, str(trial.epochs), f"{trial.seconds:.1f}", changes(trial, study)]
