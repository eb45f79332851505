"""Pictures of a fit for people."""

import io
from collections.abc import Sequence

from recsaas_assets.recommender.trainer import EpochProgress


def curves_png(history: Sequence[EpochProgress]) -> bytes:
    """Loss and validation NDCG@10 over the epochs, as a PNG."""
    # matplotlib takes long to import and is needed only here.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    FigureCanvasAgg(figure)
    loss, ndcg = figure.subplots(1, 2)
    loss.plot([each.epoch for each in history], [each.loss for each in history])
    loss.set(title="Training loss", xlabel="epoch")
    looks = [each for each in history if "ndcg@10" in each.metrics]
    ndcg.plot([each.epoch for each in looks], [each.metrics["ndcg@10"] for each in looks], marker=".")
    ndcg.set(title="Validation NDCG@10", xlabel="epoch")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
