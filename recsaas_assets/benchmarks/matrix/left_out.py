"""One set left out: the single default that the other sets would choose, and what it gets on the one left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsaas_assets.benchmarks.matrix.figures import quality
from recsaas_assets.benchmarks.matrix.served import DEPTH, ServedShop
from recsaas_assets.recommender.choice.candidates import candidates
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.trainer import fit
from recsaas_assets.recommender.metrics.scorers import VectorScorer

METRIC = "ndcg@10"


@dataclass(frozen=True, slots=True)
class SetOfCandidates:
    """NDCG@10 of every candidate on one set, and of what the product chose there by itself (None: no LightGCN)."""

    origin: str
    candidates: Mapping[str, float]
    own_choice: float | None = None


def candidate_values(one: ServedShop, *, seed: int) -> dict[str, float]:
    """NDCG@10, on what was held back, of each configuration among which the product chooses, with its own readout.

    Each stops by the product's own validation period. With nothing to validate on it runs for the steps that it names.
    """
    data = one.data
    size = data.n_users, data.n_items
    start = defaults_for(*size, len(data.full)).model_copy(update={"adapt": False})
    found = {}
    for name, config in ((each.name, each.config) for each in candidates(start)):
        steps = None
        if data.split.evaluable and len(data.train):
            steps = fit(FitInputs(data.train, *size, seed, validation=data.validation), config).best_epoch
        vectors = fit(FitInputs(data.full, *size, seed, stop_after=steps), config).vectors
        found[name] = value_of(one, vectors)[METRIC]
    return found


def value_of(one: ServedShop, vectors: ModelVectors) -> dict[str, float]:
    """Figures of a model by exact search over its vectors, without a release around them."""
    known = one.data.full.users_per_item(one.data.n_items) > 0
    lists, _ = VectorScorer(vectors.users, vectors.items, known).top_k(one.users, DEPTH, one.holdout.seen)
    return {metric: float(each.mean()) for metric, each in quality(one.holdout, one.users, lists).items()}


def leave_one_out(sets: Mapping[str, SetOfCandidates]) -> list[dict[str, Any]]:
    """One row for each set: the default that the sets of other origins choose, by the mean of NDCG@10 over the best's.

    A set on which no candidate finds anything chooses nothing. Only candidates measured everywhere can be chosen.
    A set without any other origin has no row.
    """
    rows = []
    for name, left in sets.items():
        others = [each for each in sets.values() if each.origin != left.origin and max(each.candidates.values()) > 0]
        common = [each for each in left.candidates if all(each in other.candidates for other in others)]
        if not others or not common:
            continue
        relative = {
            each: float(np.mean([other.candidates[each] / max(other.candidates.values()) for other in others]))
            for each in common
        }
        chosen = max(common, key=lambda each: relative[each])
        best = max(left.candidates, key=lambda each: left.candidates[each])
        rows.append(
            {
                "left_out": name,
                "chosen_by_others": chosen,
                "mean_relative_ndcg@10": round(relative[chosen], 4),
                METRIC: round(left.candidates[chosen], 5),
                "best": best,
                "best_ndcg@10": round(left.candidates[best], 5),
                "own_choice_ndcg@10": None if left.own_choice is None else round(left.own_choice, 5),
            }
        )
    return rows
