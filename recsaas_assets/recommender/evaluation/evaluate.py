"""Full-ranking evaluation on the test period of the global time split : every item that a user has not
seen is a candidate, and a metric is computed per user before it is averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.evaluator import (
    COHORT_METRICS,
    COHORTS_OF_TARGETS,
    Evaluator,
    Measured,
    Rankings,
    intervals,
)
from recsaas_assets.recommender.evaluation.report import (
    DECIDING,
    DUEL_METRICS,
    POPULARITY,
    Cohort,
    Difference,
    Duel,
    EvaluationReport,
    SplitSummary,
)
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.scorers import Scorer

_ABOUT_SEEN = "Nothing left out of the ranking, repeat purchases count as targets."
_ABOUT_NEW = "Users without any pair before the test, answered by popularity."
_ABOUT_COLD = "Targets whose item nobody had met before the test: only its content can find it."


def evaluate(
    training_set: TrainingSet,
    scorers: Mapping[str, Scorer],
    *,
    seed: int,
    cold_scorers: Mapping[str, Scorer] | None = None,
) -> EvaluationReport:
    """Rank all known items for every test user, with scorers fitted on ``training_set.before_test``.

    The first of ``scorers`` is the model under test, the others are what it is measured against.
    Main figures: users known before the test, seen items left out, targets are the known items they had not seen.
    Everybody else is counted in the split and measured in a cohort. MRR is cut at 20 places. ``cold_scorers`` rank
    items without a history too. ``seed`` only moves the bootstrap intervals. An unsplittable training set gives a
    report without figures that says so.
    """
    model = next(iter(scorers))
    holdout = Holdout.of_test(training_set)
    split = _summary(training_set, holdout)
    if not split.evaluable:
        return EvaluationReport(model=model, split=split)
    evaluator = Evaluator(holdout, seed=seed)
    rankings = {
        name: evaluator.rank(scorer, holdout.targets) for name, scorer in scorers.items() if len(holdout.targets)
    }
    measured = {name: evaluator.measure(each) for name, each in rankings.items()}
    duels = _duels(evaluator, measured)
    return EvaluationReport(
        model=model,
        split=split,
        models={name: each.figures() for name, each in measured.items()},
        intervals=intervals(measured, evaluator.resamples(split.evaluated_users)),
        leads={each.theirs: each.difference for each in duels if (each.ours, each.metric) == (model, DECIDING)},
        duels=duels,
        cohorts=_cohorts_of_targets(evaluator, rankings) | _cohorts_aside(evaluator, scorers, cold_scorers or {}),
    )


def _duels(evaluator: Evaluator, measured: Mapping[str, Measured]) -> tuple[Duel, ...]:
    names = [(*pair, metric) for pair in combinations(measured, 2) for metric in DUEL_METRICS]
    ours = [measured[name].per_user[metric] for name, _, metric in names]
    theirs = [measured[name].per_user[metric] for _, name, metric in names]
    found: list[Difference] = evaluator.differences(ours, theirs)
    return tuple(
        Duel(ours=name, theirs=other, metric=metric, difference=each)
        for (name, other, metric), each in zip(names, found, strict=True)
    )


def _cohorts_of_targets(evaluator: Evaluator, rankings: Mapping[str, Rankings]) -> dict[str, Cohort]:
    """Parts of the main targets, with the lists of the main figures."""
    found = {}
    for name, part in evaluator.cohorts(evaluator.holdout.targets).items():
        parts = {model: evaluator.quality(each.cut(part)) for model, each in rankings.items()} if len(part) else {}
        chosen = {m: Measured({metric: q[metric] for metric in COHORT_METRICS}, {}) for m, q in parts.items()}
        found[name] = _cohort(COHORTS_OF_TARGETS[name], part, chosen, evaluator)
    return found


def _cohorts_aside(
    evaluator: Evaluator, scorers: Mapping[str, Scorer], cold_scorers: Mapping[str, Scorer]
) -> dict[str, Cohort]:
    """Users and pairs that are not in the main figures."""
    holdout = evaluator.holdout
    of_new = holdout.later.of_users(~holdout.known_users).of_items(holdout.known_items)
    of_cold = holdout.later.of_users(holdout.known_users).of_items(~holdout.known_items)
    popularity = {POPULARITY: popularity_scorer(holdout.history, holdout.n_items)}
    cohorts = {}
    for name, about, truth, asked, mask_seen in (
        ("seen_included", _ABOUT_SEEN, holdout.rankable, scorers, False),
        ("new_users", _ABOUT_NEW, of_new, popularity, False),
        ("cold_items", _ABOUT_COLD, of_cold, cold_scorers, True),
    ):
        ranked = {n: evaluator.rank(s, truth, mask_seen=mask_seen) for n, s in asked.items()} if len(truth) else {}
        cohorts[name] = _cohort(about, truth, {n: evaluator.measure(each) for n, each in ranked.items()}, evaluator)
    return cohorts


def _cohort(about: str, truth: Pairs, measured: Mapping[str, Measured], evaluator: Evaluator) -> Cohort:
    users = len(np.unique(truth.user_row))
    return Cohort(
        about=about,
        users=users,
        pairs=len(truth),
        models={name: each.figures() for name, each in measured.items()},
        intervals=intervals(measured, evaluator.resamples(users)),
    )


def _summary(training_set: TrainingSet, holdout: Holdout) -> SplitSummary:
    test, split = training_set.test, training_set.split
    test_users, evaluated = np.unique(test.user_row), holdout.evaluated_users
    new = int((~holdout.known_users[test_users]).sum())
    cold = test.of_items(~holdout.known_items)
    return SplitSummary(
        **split.model_dump(),
        test_users=len(test_users),
        evaluated_users=evaluated,
        new_users=new,
        users_without_target=len(test_users) - new - evaluated,
        test_pairs=len(test),
        evaluated_pairs=len(holdout.targets),
        repeat_pairs=len(test) - len(test.without(holdout.history, holdout.n_items)),
        cold_item_pairs=len(cold),
        cold_items=len(np.unique(cold.item_row)),
    )
