"""Candidate against live release on the newest interactions, which neither of them has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.evaluation.evaluator import Evaluator, Rankings, intervals
from recsaas_assets.recommender.evaluation.live_model import LiveModel
from recsaas_assets.recommender.evaluation.report import (
    DECIDING,
    POPULARITY,
    Comparison,
    Difference,
)
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.item_models.fitted import FittedTable
from recsaas_assets.recommender.item_models.table_scorer import TableScorer
from recsaas_assets.recommender.lifecycle.model_config import fit_model
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.holdout import MIN_USERS, Holdout, is_comparable
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from resources.base.errors import RecsaasError, TooLarge
from resources.release.item_table import ItemTable
from resources.release.manifest import TABLE_ALGORITHMS

CANDIDATE, LIVE = "candidate", "live"
COHORT_LEVEL = 0.99
"""Four cohorts are looked at: at 99 % they raise a false alarm together about as often as one interval at 95 %."""


class NotComparable(RecsaasError):
    """There is no fair way to compare the candidate with the live release."""

    code = "not_comparable"


@dataclass(frozen=True, eq=False)
class _Contest:
    name: Literal["since_live", "test"]
    since: datetime
    holdout: Holdout
    candidate: Scorer
    live: Scorer
    same_recipe: bool = False


def compare_with_live(
    training_set: TrainingSet,
    model: TrainedModel,
    live: LiveModel,
    *,
    seed: int,
    features: FeatureHistory | None = None,
    fitted: FittedTable | None = None,
) -> Comparison:
    """Measure both on the same newest holdout; ``seed`` only moves the intervals.

    With ``fitted`` the candidate is that item–item model.

    When at least 20 users can be evaluated on what is newer than the release, its stored vectors answer, and the
    candidate's recipe fitted on the same past (``model.before_live``). Otherwise, and when ``training_set`` was split
    for another release, the release's recipe is fitted on what came before the test period, and both are measured
    there.

    Raises:
        NotComparable: nobody can be evaluated, or the release's recipe cannot be repeated.
    """
    contest = _contest(_Sides(training_set, model, live, features, fitted))
    holdout, evaluator = contest.holdout, Evaluator(contest.holdout, seed=seed)
    popularity = popularity_scorer(holdout.history, training_set.n_items)
    scorers = {CANDIDATE: contest.candidate, LIVE: contest.live, POPULARITY: popularity}
    rankings = {name: evaluator.rank(scorer, holdout.targets) for name, scorer in scorers.items()}
    measured = {name: evaluator.measure(each) for name, each in rankings.items()}
    ours, theirs = measured[CANDIDATE].per_user, measured[LIVE].per_user
    metrics = list(evaluator.quality(rankings[CANDIDATE]))
    found = evaluator.differences([ours[name] for name in metrics], [theirs[name] for name in metrics])
    (lead,) = evaluator.differences([ours[DECIDING]], [measured[POPULARITY].per_user[DECIDING]])
    return Comparison(
        release=live.version,
        holdout=contest.name,
        since=contest.since,
        same_recipe=contest.same_recipe,
        live_start=live.start,
        users=holdout.evaluated_users,
        models={name: each.figures() for name, each in measured.items()},
        intervals=intervals(measured, evaluator.resamples(holdout.evaluated_users)),
        differences=dict(zip(metrics, found, strict=True)),
        cohorts=_cohorts(evaluator, rankings),
        against_popularity=lead,
    )


def _cohorts(evaluator: Evaluator, rankings: Mapping[str, Rankings]) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for name, part in evaluator.cohorts(evaluator.holdout.targets).items():
        if len(np.unique(part.user_row)) >= MIN_USERS:
            ours, theirs = (evaluator.quality(rankings[each].cut(part))[DECIDING] for each in (CANDIDATE, LIVE))
            (found[name],) = evaluator.differences([ours], [theirs], level=COHORT_LEVEL)
    return found


@dataclass(frozen=True, eq=False)
class _Sides:
    """What there is to compare; ``fitted`` is the candidate if there is one, otherwise ``model`` is."""

    data: TrainingSet
    model: TrainedModel
    live: LiveModel
    features: FeatureHistory | None
    fitted: FittedTable | None

    def on(self, holdout: Holdout, vectors: ModelVectors, table: ItemTable | None) -> Scorer:
        """The candidate that was fitted on the history of ``holdout``."""
        if table is not None:
            return TableScorer.of(table, holdout.history, holdout.n_users)
        return VectorScorer(vectors.users, vectors.items, holdout.known_items)


def _contest(sides: _Sides) -> _Contest:
    data, live, split = sides.data, sides.live, sides.data.split
    if split.test_start is None:
        raise NotComparable(split.reason)
    before = sides.model.before_live
    same_past = split.live_until is not None and split.live_until == live.events_until
    ready = before is not None and (sides.fitted is None or sides.fitted.before_live is not None)
    if not ready or before is None or split.live_until is None or not same_past or not is_comparable(data):
        return _on_the_test_period(sides, split.test_start)
    holdout = Holdout.since_live(data)
    return _Contest(
        "since_live",
        max(split.test_start, split.live_until),
        holdout,
        sides.on(holdout, before, None if sides.fitted is None else sides.fitted.before_live),
        live.scorer(data, holdout.known_items),
    )


def _on_the_test_period(sides: _Sides, since: datetime) -> _Contest:
    data, live, fitted = sides.data, sides.live, sides.fitted
    holdout = Holdout.of_test(data)
    if holdout.evaluated_users == 0:
        raise NotComparable("nobody can be evaluated on the test period.")
    candidate = sides.on(holdout, sides.model.holdout, None if fitted is None else fitted.holdout)
    contest = _Contest("test", since, holdout, candidate, candidate, same_recipe=True)
    if live.serves_popularity:
        popularity = popularity_scorer(data.before_test, data.n_items)
        return replace(contest, live=popularity, same_recipe=False)
    if live.algorithm in TABLE_ALGORITHMS:
        return _against_table(sides, contest)
    return _against_model(sides, contest)


def _against_table(sides: _Sides, contest: _Contest) -> _Contest:
    recipe = sides.live.table_recipe()
    if recipe is None:
        raise NotComparable(_unreadable(sides.live))
    if sides.fitted is not None and recipe == sides.fitted.recipe:
        return contest
    holdout = contest.holdout
    try:
        table = recipe.table(holdout.history, holdout.n_users, holdout.n_items)
    except TooLarge as error:
        raise NotComparable(f"the {sides.live.algorithm} of the live release: {error.message}") from error
    return replace(contest, live=TableScorer.of(table, holdout.history, holdout.n_users), same_recipe=False)


def _against_model(sides: _Sides, contest: _Contest) -> _Contest:
    data, model, live, features = sides.data, sides.model, sides.live, sides.features
    recipe = live.recipe()
    if recipe is None:
        raise NotComparable(_unreadable(live))
    config, epochs = recipe
    if config.model_type == "two_tower" and features is None:
        raise NotComparable(f"release {live.version} is a two-tower model, and this run has no features to repeat it.")
    if model.start.mode == "full" and (config, epochs, live.seed) == (model.config, model.epochs, model.seed):
        same = sides.on(contest.holdout, model.holdout, None)
        return contest if sides.fitted is None else replace(contest, live=same, same_recipe=False)
    inputs = FitInputs(data.before_test, data.n_users, data.n_items, live.seed, stop_after=epochs)
    again = fit_model(inputs, config, features=None if features is None else features.before_test).vectors
    return replace(contest, live=sides.on(contest.holdout, again, None), same_recipe=False)


def _unreadable(live: LiveModel) -> str:
    return f"release {live.version} records a recipe that this version of recsaas cannot repeat."
