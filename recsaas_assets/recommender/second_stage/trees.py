"""LambdaMART over the candidates (Burges 2010, MSR-TR-2010-82; LightGBM: Ke et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.data.arrays import Values
from recsaas_assets.recommender.metrics.ranking import Relevance, ndcg
from recsaas_assets.recommender.second_stage.examples import Examples
from resources.base.errors import RecsaasError
from resources.ranker.second_stage.candidate_features import start_scores

if TYPE_CHECKING:
    from lightgbm import Booster

MIN_EXAMPLES = 40
"""Below this many users with a target among their candidates nothing is fitted."""
_MOST_TREES, _STEP = 100, 10
_FOLDS = 3
_KEPT_MISSES = 0.4
# Few leaves, because a shop has hundreds of users to learn from; how little was searched is in docs/models.md.
_PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "eval_at": [10],
    "num_leaves": 7,
    "min_data_in_leaf": 100,
    "learning_rate": 0.05,
    "feature_fraction": 0.5,
    "bagging_freq": 1,
    "bagging_fraction": 0.8,
    "verbosity": -1,
    # More threads would add the same sums in another order, and the trees would differ from run to run.
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}


class NothingToLearn(RecsaasError):
    """The examples do not teach an order better than the retrieval's."""

    code = "nothing_to_learn"


@dataclass(frozen=True, eq=False)
class FittedTrees:
    """Trees in LightGBM's text form, how many, and what they were expected to do.

    ``expected`` is NDCG@10 of users that the trees had not seen, ``retrieval`` that of the same users without them.
    """

    text: bytes
    count: int
    users: int
    expected: float
    retrieval: float
    gains: dict[str, float]
    """By feature: its share of what the splits gained."""


def fit_trees(examples: Examples, names: tuple[str, ...], *, seed: int) -> FittedTrees:
    """Fit trees that correct the retrieval's order; the same examples and ``seed`` give the same trees.

    How many is chosen by cross-validation over users, among 10, 20, … 100; then all users teach so many.

    Raises:
        NothingToLearn: there are too few users, or no number of trees is better than none.
    """
    users = len(examples.groups)
    if users < MIN_EXAMPLES:
        raise NothingToLearn(
            f"only {users} users of the validation period have a target among their candidates, "
            f"at least {MIN_EXAMPLES} are needed."
        )
    fold = np.random.default_rng(seed).permutation(users) % _FOLDS
    curve = np.zeros(_MOST_TREES // _STEP + 1)
    for number in range(_FOLDS):
        held_out = examples.of_users(fold == number)
        trees = _boost(examples.of_users(fold != number), names, _MOST_TREES, seed)
        start = start_scores(held_out.features)
        for place in range(len(curve)):
            count = place * _STEP
            corrections = trees.predict(held_out.features, raw_score=True, num_iteration=count) if count else 0.0
            curve[place] += ndcg_of(held_out, start + np.asarray(corrections)).sum() / users
    best = int(curve.argmax())
    if best == 0:
        raise NothingToLearn(
            f"trees do not order the candidates of {users} users of the validation period better than the model does."
        )
    fitted = _boost(examples, names, best * _STEP, seed)
    gains = fitted.feature_importance("gain")
    return FittedTrees(
        text=fitted.model_to_string().encode(),
        count=best * _STEP,
        users=users,
        expected=float(curve[best]),
        retrieval=float(curve[0]),
        gains=dict(zip(names, (gains / max(gains.sum(), 1e-12)).tolist(), strict=True)),
    )


def ndcg_of(examples: Examples, scores: npt.NDArray[np.float64]) -> Values:
    """NDCG@10 of each user's candidates ordered by ``scores`` (n,); targets that are no candidates count as missed."""
    ends = np.cumsum(examples.groups)
    hits = np.zeros((len(ends), 10), dtype=bool)
    for place, (start, end) in enumerate(zip(ends - examples.groups, ends, strict=True)):
        order = np.argsort(-scores[start:end], kind="stable")[:10]
        hits[place, : len(order)] = examples.labels[start:end][order]
    return ndcg(Relevance(hits, examples.targets), 10)


def _boost(examples: Examples, names: tuple[str, ...], count: int, seed: int) -> Booster:
    import lightgbm

    examples = examples.thinned(_KEPT_MISSES, seed=seed)
    data = lightgbm.Dataset(
        examples.features,
        examples.labels,
        group=examples.groups,
        init_score=start_scores(examples.features),
        feature_name=list(names),
    )
    return lightgbm.train({**_PARAMETERS, "seed": seed}, data, count)
