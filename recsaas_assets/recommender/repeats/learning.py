"""Whether what a user has bought should come again: learned on the validation period, confirmed on the test period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.evaluation.evaluator import Evaluator
from recsaas_assets.recommender.evaluation.report import DECIDING, RepeatVerdict
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.holdout import MIN_USERS, Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from recsaas_assets.recommender.repeats.chances import NewPlaces, RepeatModel, fit_repeat_model
from recsaas_assets.recommender.repeats.lists import REPEATS, LaterPeriod, ListsMeasured, measured_lists
from recsaas_assets.recommender.repeats.purchases import (
    Bought,
    bought_again,
    histories_before,
    usual_gap,
)

LEAST_SHARE = 0.05
"""Where fewer of the later pairs are repeats, lists without them lose nothing that is worth a place."""
EARLIEST_DAYS = 1.0
"""What was bought within a day does not come again, whatever the figures of a long test period say."""
_LEAST_REPEATS = 50


@dataclass(frozen=True, eq=False)
class RepeatFindings:
    """The verdict, and what was learned; `model` is None where there was too little to learn from."""

    verdict: RepeatVerdict
    model: RepeatModel | None = None


def scorers_of(training_set: TrainingSet, model: TrainedModel) -> tuple[Scorer, Scorer]:
    """What ranks the new items: the fit on `train`, or popularity where there is none, and that on `before_test`."""
    n_items = training_set.n_items

    def scorer(vectors: ModelVectors, pairs: Pairs) -> Scorer:
        return VectorScorer(vectors.users, vectors.items, pairs.users_per_item(n_items) > 0)

    if model.search is None:
        return popularity_scorer(training_set.train, n_items), popularity_scorer(training_set.before_test, n_items)
    return scorer(model.search, training_set.train), scorer(model.holdout, training_set.before_test)


def learn_repeats(
    bought: Bought, training_set: TrainingSet, scorers: tuple[Scorer, Scorer], *, seed: int
) -> RepeatFindings:
    """Fit on the validation period what is asked for the test period, and compare lists with and without repeats.

    Nothing is fitted on the test period: it confirms what validation has shown. Repeats come when both differences are
    above zero, the one on the test period with its whole interval.

    Args:
        bought: see `repeatable`.
        scorers: fitted on `train` and on `before_test`; they rank the new items.
        seed: only draws users where there are very many, and moves the intervals.
    """
    split = training_set.split
    if not split.evaluable or split.validation_start is None or split.test_start is None or bought.rows.is_empty():
        return _never("Not learned: the interactions cannot be split by time.")
    validation = _period(bought, training_set, "validation", split.validation_start, split.test_start)
    pairs = len(validation.again) + len(validation.holdout.targets)
    share = len(validation.again) / max(pairs, 1)
    if share < LEAST_SHARE or len(validation.again) < _LEAST_REPEATS:
        return _never(
            f"Seen items stay out: {share:.1%} of the pairs of the validation period are repeats "
            f"({len(validation.again):,} of {pairs:,}); at least {LEAST_SHARE:.0%} and {_LEAST_REPEATS} are needed.",
            share,
        )
    model = _fitted(validation, scorers[0], bought, seed=seed)
    gap = usual_gap(bought, split.validation_start)
    verdict = RepeatVerdict(come_again=False, reason="", share=share, usual_gap_days=gap)
    first = measured_lists(validation, scorers[0], model, seed=seed)
    test = test_period(bought, training_set)
    if len(np.unique(test.truth.user_row)) < MIN_USERS:
        few = f"Seen items stay out: fewer than {MIN_USERS} users can be evaluated on the test period."
        return RepeatFindings(verdict.model_copy(update={"reason": few, "validation": first.difference}))
    return RepeatFindings(_judged(verdict, first, measured_lists(test, scorers[1], model, seed=seed)), model)


def test_period(bought: Bought, training_set: TrainingSet) -> LaterPeriod:
    """The test period, after everything before it.

    Raises:
        ValueError: the training set has none.
    """
    start = training_set.split.test_start
    if start is None:
        raise ValueError("the interactions are not split by time")
    return _period(bought, training_set, "test", start, bought.end)


def _period(bought: Bought, training_set: TrainingSet, name: str, start: datetime, end: datetime) -> LaterPeriod:
    n_users, n_items = training_set.n_users, training_set.n_items
    before = training_set.train if name == "validation" else training_set.before_test
    later = training_set.validation if name == "validation" else training_set.test
    history = histories_before(bought, before, n_items, start)
    again = bought_again(bought, history, n_items, start, end)
    return LaterPeriod(Holdout(before, later, n_users, n_items), history, _kept(again, later, n_items))


def _kept(again: Pairs, later: Pairs, n_items: int) -> Pairs:
    """Those of the repeats that the later period keeps: what was taken back is in no part of the split."""
    wanted, there = (pairs.user_row.astype(np.int64) * n_items + pairs.item_row for pairs in (again, later))
    kept = np.isin(wanted, there)
    return Pairs.of(again.user_row[kept], again.item_row[kept])


def _fitted(period: LaterPeriod, scorer: Scorer, bought: Bought, *, seed: int) -> RepeatModel:
    """Fit on the users of the period's truth, and the first places of their lists."""
    truth, holdout = period.sample(seed), period.holdout
    plain = Evaluator(holdout, seed=seed).rank(scorer, truth)
    found = mark_relevant(plain.users, plain.ranked, holdout.targets, holdout.n_users, holdout.n_items)
    filled = plain.ranked >= 0
    places = np.broadcast_to(np.arange(1, plain.ranked.shape[1] + 1, dtype=np.float64), plain.ranked.shape)[filled]
    of_users = np.repeat(plain.users, filled.sum(axis=1))
    history = period.history.marked(np.isin(period.history.user_row, plain.users))
    keys = period.again.user_row.astype(np.int64) * holdout.n_items + period.again.item_row
    again = np.isin(history.keys(holdout.n_items), keys)
    lists = NewPlaces(places, of_users, found.hits[filled])
    return fit_repeat_model(history, again, lists, earliest_days=EARLIEST_DAYS, purchases=bought.purchases)


def _judged(verdict: RepeatVerdict, validation: ListsMeasured, test: ListsMeasured) -> RepeatVerdict:
    difference = test.difference
    measured = (
        f"NDCG@10 with repeats among the targets, on {difference.users} test users: "
        f"{test.with_repeats[DECIDING]:.4f} with repeats in the lists, {test.without[DECIDING]:.4f} without, "
        f"difference {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}). "
        f"{verdict.share:.1%} of the later pairs are repeats, and {test.with_repeats[REPEATS]:.0%} of the ten places."
    )
    come_again = validation.difference.value > 0 and difference.low > 0
    said = "What a user has bought comes again" if come_again else "Seen items stay out: repeats are not surely better"
    return verdict.model_copy(
        update={
            "come_again": come_again,
            "reason": f"{said}. {measured}",
            "validation": validation.difference,
            "test": difference,
            "lists": {"with_repeats": test.with_repeats, "without_repeats": test.without},
        }
    )


def _never(reason: str, share: float | None = None) -> RepeatFindings:
    return RepeatFindings(RepeatVerdict(come_again=False, reason=reason, share=share))
