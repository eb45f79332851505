"""From rankings to figures: every metric per user first, then averaged, with intervals over users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.data.arrays import Rows, Values
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.report import Difference, Figures, Intervals
from recsaas_assets.recommender.metrics.bootstrap import Resamples
from recsaas_assets.recommender.metrics.exposure import exposure, mean_of_list, popularity_percentiles
from recsaas_assets.recommender.metrics.holdout import FEW, Holdout
from recsaas_assets.recommender.metrics.ranking import (
    mark_relevant,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
)
from recsaas_assets.recommender.metrics.scorers import Scorer

DEPTH = 20
COHORT_METRICS = ("ndcg@10", "recall@20", "mrr")
COHORTS_OF_TARGETS = {
    "few_interactions": f"Users with up to {FEW} items before the test.",
    "many_interactions": f"Users with more than {FEW} items before the test.",
    "head_items": "Targets among the fifth of the items with the most users.",
    "tail_items": "Targets among all other items.",
}


@dataclass(frozen=True, eq=False)
class Rankings:
    """The best items of some users, shape (n, DEPTH), and the pairs they should have found."""

    users: Rows
    ranked: Rows
    truth: Pairs

    def cut(self, part: Pairs) -> Rankings:
        """The same lists of the users in ``part``, which becomes the truth."""
        keep = np.isin(self.users, part.user_row)
        return Rankings(self.users[keep], self.ranked[keep], part)


@dataclass(frozen=True, eq=False)
class Measured:
    """Values of one model, all (n_users,), and its figures over all lists together as (value, low, high)."""

    per_user: dict[str, Values]
    overall: dict[str, Values]

    def figures(self) -> Figures:
        """Means over users, and the figures over all lists."""
        means = {name: float(values.mean()) for name, values in self.per_user.items()}
        return means | {name: float(triple[0]) for name, triple in self.overall.items()}


def intervals(measured: Mapping[str, Measured], resamples: Resamples) -> dict[str, Intervals]:
    """95 % intervals of all figures of all models, which were measured on the same users."""
    names = [(model, metric) for model, each in measured.items() for metric in each.per_user]
    found: dict[str, Intervals] = {model: {} for model in measured}
    if not names:
        return found
    columns = np.stack([measured[model].per_user[metric] for model, metric in names], axis=1)
    for (model, metric), (low, high) in zip(names, resamples.intervals(columns), strict=True):
        found[model][metric] = (float(low), float(high))
    for model, each in measured.items():
        found[model] |= {metric: (float(triple[1]), float(triple[2])) for metric, triple in each.overall.items()}
    return found


class Evaluator:
    """Measures rankings on one holdout; all models on the same users and the same resamples of them."""

    def __init__(self, holdout: Holdout, *, seed: int) -> None:
        self.holdout = holdout
        self._seed = seed
        self._percentiles = popularity_percentiles(holdout.users_per_item)
        self._known_users = int(holdout.known_users.sum())

    def rank(self, scorer: Scorer, truth: Pairs, *, mask_seen: bool = True) -> Rankings:
        """The lists of all users in ``truth``."""
        users = np.unique(truth.user_row).astype(np.int32)
        ranked, _ = scorer.top_k(users, DEPTH, self.holdout.seen if mask_seen else None)
        return Rankings(users, ranked, truth)

    def resamples(self, n_users: int) -> Resamples:
        """The resamples for so many users."""
        return Resamples(n_users, self._seed)

    def quality(self, rankings: Rankings) -> dict[str, Values]:
        """Quality metrics of each user's list, (n_users,) each."""
        holdout = self.holdout
        relevance = mark_relevant(rankings.users, rankings.ranked, rankings.truth, holdout.n_users, holdout.n_items)
        return {
            "ndcg@10": ndcg(relevance, 10),
            "recall@20": recall(relevance, 20),
            "precision@10": precision(relevance, 10),
            "mrr": reciprocal_rank(relevance),
        }

    def measure(self, rankings: Rankings) -> Measured:
        """All metrics: quality, novelty, popularity and exposure of the lists."""
        ranked, counts = rankings.ranked, self.holdout.users_per_item
        made_of = {
            "novelty@10": novelty(ranked, 10, counts, self._known_users),
            "popularity_percentile@10": mean_of_list(ranked, 10, self._percentiles),
            "head_share@10": mean_of_list(ranked, 10, self.holdout.head),
        }
        overall = exposure(ranked, 10, self.holdout.known_items, self.resamples(len(ranked)))
        return Measured(self.quality(rankings) | made_of, dict(overall))

    def cohorts(self, targets: Pairs) -> dict[str, Pairs]:
        """The parts of ``targets`` named in `COHORTS_OF_TARGETS`."""
        few = self.holdout.items_per_user <= FEW
        head = self.holdout.head
        return {
            "few_interactions": targets.of_users(few),
            "many_interactions": targets.of_users(~few),
            "head_items": targets.of_items(head),
            "tail_items": targets.of_items(~head),
        }

    def differences(self, ours: Sequence[Values], theirs: Sequence[Values], *, level: float = 0.95) -> list[Difference]:
        """Mean of each of ``ours`` − its counterpart in ``theirs``, all (n,) over the same users, paired."""
        if not ours:
            return []
        each = np.stack(ours, axis=1) - np.stack(theirs, axis=1)
        found = self.resamples(len(each)).intervals(each, level)
        return [
            Difference(
                value=float(column.mean()),
                low=float(low),
                high=float(high),
                level=level,
                users=len(column),
                reference=float(reference.mean()),
            )
            for column, reference, (low, high) in zip(each.T, theirs, found, strict=True)
        ]
