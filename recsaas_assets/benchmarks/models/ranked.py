"""Figures of several rankers over the same users: means with intervals, and their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.metrics.scorers import Scorer

    Scorers = Scorer | Sequence[Scorer]
    """A scorer, or several of which each user gets the mean."""

_DEPTH = 20


def ranked(
    scorers: Mapping[str, Scorers],
    truth: Pairs,
    seen: Pairs,
    data: TrainingSet,
    *,
    against: str,
    seed: int,
) -> dict[str, Any]:
    """NDCG@10 and Recall@20 of every scorer over the users of ``truth``, items in ``seen`` left out.

    Of several scorers in one place each user gets the mean. Every other one is compared with ``against``, user by user.
    """
    from recsaas_assets.recommender.metrics.bootstrap import Resamples
    from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg, recall

    users = np.unique(truth.user_row).astype(np.int32)
    if len(users) == 0:
        return {"users": 0}
    matrix = seen.csr(data.n_users, data.n_items)
    values: dict[str, dict[str, np.ndarray]] = {}
    for name, scorer in scorers.items():
        each = scorer if isinstance(scorer, Sequence) else [scorer]
        judgements = [
            mark_relevant(users, one.top_k(users, _DEPTH, matrix)[0], truth, data.n_users, data.n_items) for one in each
        ]
        values[name] = {
            "ndcg@10": np.mean([ndcg(relevance, 10) for relevance in judgements], axis=0),
            "recall@20": np.mean([recall(relevance, 20) for relevance in judgements], axis=0),
        }
    resamples = Resamples(len(users), seed)

    def figures(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
        intervals = resamples.intervals(np.stack(list(columns.values()), axis=1))
        return {
            name: {
                "value": round(float(each.mean()), 4),
                "low": round(float(low), 4),
                "high": round(float(high), 4),
            }
            for (name, each), (low, high) in zip(columns.items(), intervals, strict=True)
        }

    table = {name: figures(columns) for name, columns in values.items()}
    base = values[against]
    return {
        "users": len(users),
        "targets": len(truth),
        "models": table,
        f"minus_{against}": {
            name: figures({metric: each - base[metric] for metric, each in columns.items()})
            for name, columns in values.items()
            if name != against
        },
    }
