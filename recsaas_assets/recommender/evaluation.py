"""Full-ranking evaluation on the test period of the global time split (spec/quality.md, product metric)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.baselines import popularity_scorer
from recsaas_assets.recommender.dataset import TrainingSet
from recsaas_assets.recommender.metrics import (
    Values,
    bootstrap_interval,
    coverage,
    judge,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
)
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.report import POPULARITY, Cohort, EvaluationReport, Figures, SplitSummary
from recsaas_assets.recommender.scorers import Scorer

_DEPTH = 20
_HEAD_SHARE = 0.2

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class _Rankings:
    users: Rows
    truth: Pairs
    ranked: Rows


class _Judge:
    """Turns rankings into figures; holds what all of them are measured against."""

    def __init__(self, training_set: TrainingSet) -> None:
        self.history = training_set.before_test
        self.n_users, self.n_items = training_set.n_users, training_set.n_items
        self.users_per_item = self.history.users_per_item(self.n_items)
        self.known_users = self.history.items_per_user(self.n_users) > 0
        self.known_items = self.users_per_item > 0
        self.seen = self.history.csr(self.n_users, self.n_items)

    def rank(self, scorer: Scorer, truth: Pairs, *, mask_seen: bool) -> _Rankings:
        users = np.unique(truth.user_row).astype(np.int32)
        ranked, _ = scorer.top_k(users, _DEPTH, self.seen if mask_seen else None)
        return _Rankings(users, truth, ranked)

    def per_user(self, rankings: _Rankings) -> dict[str, Values]:
        judged = judge(rankings.users, rankings.ranked, rankings.truth, self.n_users, self.n_items)
        known = int(self.known_users.sum())
        return {
            "ndcg@10": ndcg(judged, 10),
            "recall@20": recall(judged, 20),
            "precision@10": precision(judged, 10),
            "mrr": reciprocal_rank(judged),
            "novelty@10": novelty(rankings.ranked, 10, self.users_per_item, known),
        }

    def figures(self, rankings: _Rankings) -> Figures:
        means = {name: float(values.mean()) for name, values in self.per_user(rankings).items()}
        return means | {"coverage@10": coverage(rankings.ranked, 10, int(self.known_items.sum()))}

    def head_items(self) -> npt.NDArray[np.bool_]:
        """The fifth of the known items with the most users, shape (n_items,)."""
        count = int(np.ceil(_HEAD_SHARE * self.known_items.sum()))
        head = np.zeros(self.n_items, dtype=bool)
        head[np.argsort(-self.users_per_item, kind="stable")[:count]] = True
        return head


def evaluate(training_set: TrainingSet, scorers: Mapping[str, Scorer], *, seed: int) -> EvaluationReport:
    """Rank all known items for every test user, with scorers fitted on ``training_set.before_test``.

    Main figures: users known before the test, seen items left out, targets are the known items they had not seen.
    Everybody else is counted in the split and measured in a cohort. MRR is cut at 20 places. ``seed`` only moves the
    bootstrap intervals. An unsplittable training set gives a report without figures that says so.
    """
    judge_ = _Judge(training_set)
    of_known_users = training_set.test.of_users(judge_.known_users)
    rankable = of_known_users.of_items(judge_.known_items)
    targets = rankable.without(judge_.history, training_set.n_items)
    of_new_users = training_set.test.of_users(~judge_.known_users)
    split = _summary(training_set, judge_, targets)
    if not split.evaluable:
        return EvaluationReport(split=split)
    models: dict[str, Figures] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    cohorts = {
        "head_items": _cohort("Targets among the fifth of the items with the most users.", targets, judge_, head=True),
        "tail_items": _cohort("Targets among all other items.", targets, judge_, head=False),
        "seen_included": _cohort("Nothing left out of the ranking, repeat purchases count as targets.", rankable),
        "new_users": _cohort(
            "Users without any pair before the test, answered by popularity.", of_new_users.of_items(judge_.known_items)
        ),
    }
    rng = np.random.default_rng(seed)
    for name, scorer in scorers.items() if len(targets) else ():
        rankings = judge_.rank(scorer, targets, mask_seen=True)
        models[name] = judge_.figures(rankings)
        intervals[name] = {m: bootstrap_interval(v, rng) for m, v in judge_.per_user(rankings).items()}
        for cohort, wanted in (("head_items", True), ("tail_items", False)):
            part = targets.of_items(judge_.head_items() == wanted)
            if len(part):
                keep = np.isin(rankings.users, part.user_row)
                cut = _Rankings(rankings.users[keep], part, rankings.ranked[keep])
                figures = judge_.figures(cut)
                cohorts[cohort].models[name] = {m: figures[m] for m in ("ndcg@10", "recall@20", "mrr")}
    for name, scorer in scorers.items() if len(rankable) else ():
        cohorts["seen_included"].models[name] = judge_.figures(judge_.rank(scorer, rankable, mask_seen=False))
    new_targets = of_new_users.of_items(judge_.known_items)
    if len(new_targets):
        popularity = popularity_scorer(judge_.history, training_set.n_items)
        cohorts["new_users"].models[POPULARITY] = judge_.figures(judge_.rank(popularity, new_targets, mask_seen=False))
    return EvaluationReport(split=split, models=models, intervals=intervals, cohorts=cohorts)


def _cohort(about: str, targets: Pairs, judge_: _Judge | None = None, *, head: bool = True) -> Cohort:
    part = targets if judge_ is None else targets.of_items(judge_.head_items() == head)
    return Cohort(about=about, users=len(np.unique(part.user_row)), pairs=len(part))


def _summary(training_set: TrainingSet, judge_: _Judge, targets: Pairs) -> SplitSummary:
    test, split = training_set.test, training_set.split
    test_users, evaluated = np.unique(test.user_row), np.unique(targets.user_row)
    new = int((~judge_.known_users[test_users]).sum())
    cold = test.of_items(~judge_.known_items)
    return SplitSummary(
        **split.model_dump(),
        test_users=len(test_users),
        evaluated_users=len(evaluated),
        new_users=new,
        users_without_target=len(test_users) - new - len(evaluated),
        test_pairs=len(test),
        evaluated_pairs=len(targets),
        repeat_pairs=len(test) - len(test.without(judge_.history, training_set.n_items)),
        cold_item_pairs=len(cold),
        cold_items=len(np.unique(cold.item_row)),
    )
