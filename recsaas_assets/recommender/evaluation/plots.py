"""Pictures of a fit and of its evaluation, for people."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsaas_assets.recommender.evaluation.report import DECIDING, EvaluationReport
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress

if TYPE_CHECKING:  # matplotlib takes long to import and is needed only where a picture is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METRICS = (DECIDING, "recall@20")
_OURS, _OTHERS = "#2b6cb0", "#a0aec0"


def curves_png(history: Sequence[EpochProgress]) -> bytes:
    """Loss and validation NDCG@10 over the epochs, as a PNG."""
    figure = _figure(8, 3)
    loss, ndcg = figure.subplots(1, 2)
    loss.plot([each.epoch for each in history], [each.loss for each in history])
    loss.set(title="Training loss", xlabel="epoch")
    looks = [each for each in history if DECIDING in each.metrics]
    ndcg.plot([each.epoch for each in looks], [each.metrics[DECIDING] for each in looks], marker=".")
    ndcg.set(title="Validation NDCG@10", xlabel="epoch")
    return _png(figure)


def evaluation_png(report: EvaluationReport) -> bytes:
    """NDCG@10 and Recall@20 of every model with their intervals, and NDCG@10 by cohort, as a PNG.

    A report without figures gives a picture that says so.
    """
    figure = _figure(10, 4)
    if not report.models:
        figure.text(0.5, 0.5, report.split.reason or "Nobody to evaluate on.", ha="center", va="center", wrap=True)
        return _png(figure)
    *metrics, cohorts = figure.subplots(1, len(_METRICS) + 1)
    for axes, metric in zip(metrics, _METRICS, strict=True):
        names = list(report.models)
        spans = [report.intervals.get(name, {}).get(metric) for name in names]
        ours = report.contender or report.model
        _bars(axes, names, [report.models[name][metric] for name in names], spans, ours=ours)
        axes.set(title=metric)
    shown = {name: cohort for name, cohort in report.cohorts.items() if report.model in cohort.models}
    labels = [name.replace("_", "\n") for name in shown]
    values = [cohort.models[report.model][DECIDING] for cohort in shown.values()]
    spans = [cohort.intervals.get(report.model, {}).get(DECIDING) for cohort in shown.values()]
    _bars(cohorts, labels, values, spans, ours=None)
    cohorts.set(title=f"{DECIDING} of {report.model} by cohort")
    return _png(figure)


def _bars(
    axes: Axes, names: list[str], values: list[float], spans: list[tuple[float, float] | None], *, ours: str | None
) -> None:
    below = [value - span[0] if span else 0.0 for value, span in zip(values, spans, strict=True)]
    above = [span[1] - value if span else 0.0 for value, span in zip(values, spans, strict=True)]
    errors = [[max(each, 0.0) for each in side] for side in (below, above)]
    colours = [_OURS if ours in (None, name) else _OTHERS for name in names]
    axes.barh(names, values, xerr=errors, color=colours, capsize=3)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
