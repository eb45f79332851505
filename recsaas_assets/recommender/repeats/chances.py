"""The chance that a pair is bought again, against the chance that a new item at some place of the list is bought.

Both are logistic regressions on one later period, among the users who bought anything in it, so that their log odds can
be compared. The terms are those that studies of repeat purchases agree on: how often the user has bought the item
("quality"), how long ago ("recency") and that against the usual time between two purchases, how often others buy the
item again, and how repetitive the user is (Anderson, Kumar, Tomkins and Vassilvitskii 2014, WWW; Bhagat, Muralidharan,
Lobzhanidze and Vishwanath 2018, KDD: "Buy It Again").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.data.arrays import Mask, Rows, Values
from recsaas_assets.recommender.repeats.purchases import PairHistory
from resources.ranker.retrieval.repeats import time_terms
from resources.release.manifest import RepeatCurve

_RIDGE = 1.0
_STEPS = 25
_MOST_ODDS = 0.999


@dataclass(frozen=True, eq=False)
class RepeatModel:
    """Coefficients of both regressions; `again` is of (1, `_fixed_terms`, `time_terms`), `new` of `_new_terms`."""

    again: Values
    new: Values
    earliest_days: float
    purchases: bool

    @property
    def curve(self) -> RepeatCurve:
        """What an answer needs beside the columns of the pairs."""
        age, overdue, early = (float(each) for each in self.again[-3:])
        return RepeatCurve(
            age=age,
            overdue=overdue,
            early=early,
            slope=min(float(self.new[1]), 0.0),
            earliest_days=self.earliest_days,
            purchases=self.purchases,
        )

    def columns(self, history: PairHistory) -> np.ndarray:
        """See `resources.ranker.retrieval.repeats.leads`: (n, 3) float32."""
        fixed = _fixed_terms(history) @ self.again[:-3]
        first_new = _new_terms(np.ones(len(history)), history.user_items, history.user_days) @ self.new
        return np.stack([fixed - first_new, history.age, history.gap], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class NewPlaces:
    """Places in lists of new items, all (m,): from 1, the user row of each, and whether its item was met later."""

    places: Values
    of_users: Rows
    hits: Mask


def fit_repeat_model(
    history: PairHistory, again: Mask, new: NewPlaces, *, earliest_days: float, purchases: bool
) -> RepeatModel:
    """Fit both regressions on one later period.

    Args:
        history: pairs of the users who did something in the period, at least one.
        again: (n,), which of them were bought again in it.
        new: of the same users.
    """
    terms = np.concatenate([_fixed_terms(history), time_terms(history.age, history.gap)], axis=1)
    first = np.minimum(np.searchsorted(history.user_row, new.of_users), len(history) - 1)
    known = history.user_row[first] == new.of_users
    items, days = (np.where(known, each[first], 1.0) for each in (history.user_items, history.user_days))
    of_new = logistic(_new_terms(new.places, items, days), new.hits)
    return RepeatModel(logistic(terms, again), of_new, earliest_days, purchases)


def logistic(terms: Values, outcome: Mask) -> Values:
    """Coefficients (k,) of a logistic regression on ``terms`` (n, k), by Newton's method with a small ridge."""
    found = np.zeros(terms.shape[1])
    ridge = _RIDGE * np.eye(terms.shape[1])
    ridge[0, 0] = 1e-6  # the first term is the constant
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(terms @ found, -30, 30)))
        slope = terms.T @ (outcome - chance) - ridge @ found
        bend = (terms * (chance * (1 - chance))[:, None]).T @ terms + ridge
        step = np.linalg.solve(bend, slope)
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return found


def _fixed_terms(history: PairHistory) -> Values:
    return np.stack(
        [
            np.ones(len(history)),
            np.log(history.times),
            _log_odds(history.item_rate),
            _log_odds(history.user_rate),
            np.log(history.user_items),
            np.log(history.user_days),
        ],
        axis=1,
    )


def _new_terms(places: Values, user_items: Values, user_days: Values) -> Values:
    return np.stack([np.ones(len(places)), np.log(places), np.log(user_items), np.log(user_days)], axis=1)


def _log_odds(rate: Values) -> Values:
    held = np.clip(rate, 1 - _MOST_ODDS, _MOST_ODDS)
    return np.asarray(np.log(held / (1 - held)))
