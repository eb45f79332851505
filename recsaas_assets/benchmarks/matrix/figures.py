"""Figures of several rankers on the users of one set: means with intervals, and what one leads the others by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsaas_assets.recommender.data.arrays import Rows, Values
from recsaas_assets.recommender.evaluation.evaluator import Evaluator
from recsaas_assets.recommender.metrics.exposure import exposure
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg, recall

SERVED = "served"
DECIDING_METRICS = ("ndcg@10", "recall@20")
"""By these a baseline is said to be ahead; NDCG@20 is for comparison with published figures."""


def quality(holdout: Holdout, users: Rows, lists: Rows) -> dict[str, Values]:
    """NDCG@10, NDCG@20 and Recall@20 of each of ``users`` (n,) by their ``lists`` (n, ≥ 20)."""
    relevance = mark_relevant(users, lists, holdout.targets, holdout.n_users, holdout.n_items)
    return {"ndcg@10": ndcg(relevance, 10), "ndcg@20": ndcg(relevance, 20), "recall@20": recall(relevance, 20)}


def compared(holdout: Holdout, users: Rows, lists: Mapping[str, Rows], *, seed: int) -> dict[str, dict[str, Any]]:
    """Every ranker's figures with 95 % intervals, and by how much what is `SERVED` leads it, user by user.

    Every interval is a bootstrap over the same resamples of ``users`` (n,), drawn by ``seed``.
    """
    evaluator = Evaluator(holdout, seed=seed)
    resamples = evaluator.resamples(len(users))
    values = {name: quality(holdout, users, each) for name, each in lists.items()}
    ours = values[SERVED]
    table: dict[str, dict[str, Any]] = {}
    for name, each in values.items():
        bounds = resamples.intervals(np.stack(list(each.values()), axis=1))
        figures = {
            metric: _triple(column.mean(), *low_high)
            for (metric, column), low_high in zip(each.items(), bounds, strict=True)
        }
        covered = exposure(lists[name], 10, holdout.known_items, resamples)["coverage@10"]
        table[name] = {"figures": figures | {"coverage@10": _triple(*covered)}}
        if name != SERVED:
            leads = evaluator.differences([ours[metric] for metric in each], list(each.values()))
            table[name]["served_minus_this"] = {
                metric: _triple(lead.value, lead.low, lead.high) for metric, lead in zip(each, leads, strict=True)
            }
    return table


def surely_ahead(table: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The baselines of a table of `compared` that are ahead of what is served by the whole interval, by metric."""
    return [
        {"baseline": name, "metric": metric, "served_minus_this": row["served_minus_this"][metric]}
        for name, row in table.items()
        if name != SERVED and "served_minus_this" in row
        for metric in DECIDING_METRICS
        if row["served_minus_this"][metric]["high"] < 0
    ]


def _triple(value: float, low: float, high: float) -> dict[str, float]:
    return {name: round(float(each), 5) for name, each in (("value", value), ("low", low), ("high", high))}
