"""Lists with and without repeats, merged and measured as they would be served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.data.arrays import Rows, Values
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.evaluator import DEPTH, Evaluator, Rankings
from recsaas_assets.recommender.evaluation.report import DECIDING, Difference, Figures
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.scorers import Scorer
from recsaas_assets.recommender.repeats.chances import RepeatModel
from recsaas_assets.recommender.repeats.purchases import PairHistory
from resources.ranker.retrieval.repeats import RepeatItems, leads, merged_order

REPEATS = "repeats@10"
"""The share of the first ten places that repeats have."""
MOST_USERS = 5_000
"""More make the interval no narrower than a decision needs."""


@dataclass(frozen=True, eq=False)
class LaterPeriod:
    """What a later period holds for lists with repeats: the holdout, what was known of pairs, and which came again."""

    holdout: Holdout
    history: PairHistory
    again: Pairs

    @property
    def truth(self) -> Pairs:
        """Everything that a list may find: items that are new to their user, and pairs bought again; (n,) pairs."""
        parts = (self.holdout.targets, self.again)
        return Pairs.of(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("user_row", "item_row")))

    def sample(self, seed: int) -> Pairs:
        """The truth of at most `MOST_USERS` users."""
        truth = self.truth
        users = np.unique(truth.user_row)
        if len(users) <= MOST_USERS:
            return truth
        chosen = np.zeros(self.holdout.n_users, dtype=bool)
        chosen[np.random.default_rng(seed).choice(users, MOST_USERS, replace=False)] = True
        return truth.of_users(chosen)


@dataclass(frozen=True, eq=False)
class ListsMeasured:
    """Figures of both kinds of lists, and by how much NDCG@10 differs: with minus without, paired by user."""

    with_repeats: Figures
    without: Figures
    difference: Difference


def measured_lists(period: LaterPeriod, scorer: Scorer, model: RepeatModel, *, seed: int) -> ListsMeasured:
    """Measure the scorer's lists of new items, and the same with repeats, on the truth of a period."""
    evaluator = Evaluator(period.holdout, seed=seed)
    plain = evaluator.rank(scorer, period.sample(seed))
    merged = with_repeats(plain, period.history, model)
    without, with_it = evaluator.quality(plain), evaluator.quality(merged)
    (difference,) = evaluator.differences([with_it[DECIDING]], [without[DECIDING]])
    known = period.history.keys(period.holdout.n_items)
    seen = np.isin(merged.users[:, None].astype(np.int64) * period.holdout.n_items + merged.ranked[:, :10], known)
    with_it[REPEATS], without[REPEATS] = seen.mean(axis=1), np.zeros(len(seen))
    return ListsMeasured(_means(with_it), _means(without), difference)


def with_repeats(plain: Rankings, history: PairHistory, model: RepeatModel) -> Rankings:
    """The lists with each user's repeats among the new items, cut to `DEPTH` places."""
    curve = model.curve
    found = leads(curve, model.columns(history), 0.0)
    starts = np.searchsorted(history.user_row, plain.users)
    ends = np.searchsorted(history.user_row, plain.users, side="right")
    merged: Rows = plain.ranked.copy()
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        if start == end:
            continue
        repeats = RepeatItems.of(curve, history.item_row[start:end], found[start:end])
        new = plain.ranked[place]
        new = new[new >= 0]
        rows = np.concatenate([new, repeats.rows])[merged_order(curve, repeats.leads, len(new))][:DEPTH]
        merged[place, : len(rows)] = rows
    return Rankings(plain.users, merged, plain.truth)


def _means(values: dict[str, Values]) -> Figures:
    return {name: float(each.mean()) for name, each in values.items()}
