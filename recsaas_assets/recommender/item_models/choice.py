"""The hyper-parameters of an item–item model for one tenant: fitted on train, compared on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import binary_matrix
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.recipes import EaseRecipe, KnnRecipe, TableKind
from recsaas_assets.recommender.item_models.table_scorer import summed_weights, with_prior
from recsaas_assets.recommender.metrics.holdout import MIN_USERS, Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg
from recsaas_assets.recommender.metrics.scorers import rank_blocks

FEWEST_USERS, MOST_USERS = 100, 1_000
"""Validation users that are ranked, drawn by the seed: fewer where there are very many items."""
_MOST_SCORES = 64_000_000
SHRINKAGES = (20.0,)
EXPONENTS = (0.3, 0.7)
NEIGHBOURS = (50,)
REGULARISATIONS = (10.0, 50.0, 200.0, 500.0, 1000.0)
_MIDDLE = 2
_EASE_ITEMS = 1_500
"""Regularisation is chosen on the most popular items alone, as the time of a fit grows with their cube."""
PRIORS = ((0.0, 20.0), *((weight, days) for weight in (0.1, 0.2, 0.45) for days in (5.0, 20.0, 60.0)))
_FIRST_PRIORS = ((0.0, 20.0), (0.2, 20.0))

Recipe = KnnRecipe | EaseRecipe
START: dict[TableKind, Recipe] = {"item_knn": KnnRecipe(), "ease": EaseRecipe()}
"""What is tried first, and taken where validation cannot say anything."""


@dataclass(frozen=True, slots=True)
class TableChoice:
    """A recipe, and its NDCG@10 on the validation period; none where too few users could be asked."""

    recipe: Recipe
    ndcg_at_10: float | None = None


def choose(training_set: TrainingSet, kind: TableKind, *, seed: int) -> TableChoice:
    """The best of a few recipes by mean NDCG@10 on validation, one hyper-parameter after the other, the prior last.

    The test period is not looked at. With fewer than 20 validation users the first recipe is taken as it is.

    Raises:
        TooLarge: there is no time for so many users, items and pairs.
    """
    judge = _Judge.of(training_set, seed)
    if len(judge.users) < MIN_USERS:
        return TableChoice(START[kind])
    if kind == "ease":
        few = judge.of_popular(_EASE_ITEMS)
        recipe = _regularised(few, few.best_of(START[kind], _FIRST_PRIORS)).recipe
        return judge.best_of(recipe, PRIORS).choice
    best = _neighbourly(judge, judge.best_of(START[kind], _FIRST_PRIORS))
    return max(best, judge.best_of(best.recipe, PRIORS, best.weights), key=_value).choice


def _neighbourly(judge: _Judge, best: _Trial) -> _Trial:
    for name, values in (("shrinkage", SHRINKAGES), ("exponent", EXPONENTS), ("neighbours", NEIGHBOURS)):
        best = max(best, *_tried(judge, best.recipe, name, values), key=_value)
    return best


def _regularised(judge: _Judge, best: _Trial) -> _Trial:
    """Up the grid as long as that is better; otherwise down."""
    for values in (REGULARISATIONS[_MIDDLE + 1 :], REGULARISATIONS[_MIDDLE - 1 :: -1]):
        climbed = False
        for each in _tried(judge, best.recipe, "regularisation", values):
            if _value(each) <= _value(best):
                break
            best, climbed = each, True
        if climbed:
            break
    return best


def _tried(judge: _Judge, recipe: Recipe, name: str, values: tuple[float, ...]) -> Iterator[_Trial]:
    for value in values:
        yield judge.best_of(recipe.model_copy(update={name: value}), _FIRST_PRIORS)


def _value(trial: _Trial) -> float:
    return trial.ndcg_at_10


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """A recipe with its weights on train, and its NDCG@10 on validation."""

    recipe: Recipe
    ndcg_at_10: float
    weights: sparse.csr_array

    @property
    def choice(self) -> TableChoice:
        return TableChoice(self.recipe, self.ndcg_at_10)


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Validation users, and what a fit on the pairs before them may see."""

    users: Rows
    targets: Pairs
    history: Pairs
    matrix: sparse.csr_array
    forbidden: torch.Tensor
    n_users: int
    n_items: int

    @classmethod
    def of(cls, data: TrainingSet, seed: int) -> _Judge:
        holdout = Holdout(data.train, data.validation, data.n_users, data.n_items)
        users = np.unique(holdout.targets.user_row).astype(np.int32)
        most = max(FEWEST_USERS, min(MOST_USERS, _MOST_SCORES // max(data.n_items, 1)))
        if len(users) > most:
            users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
        forbidden = torch.from_numpy(np.flatnonzero(~holdout.known_items))
        matrix = binary_matrix(data.train, data.n_users, data.n_items)
        return cls(users, holdout.targets, data.train, matrix, forbidden, data.n_users, data.n_items)

    def of_popular(self, most: int) -> _Judge:
        """The same over the items with the most users alone; the others are in nobody's history and never ranked."""
        counts = self.history.users_per_item(self.n_items)
        kept = np.zeros(self.n_items, dtype=bool)
        kept[np.argsort(-counts, kind="stable")[:most]] = True
        if kept[counts > 0].all():
            return self
        return replace(
            self,
            targets=self.targets.of_items(kept),
            history=self.history.of_items(kept),
            matrix=binary_matrix(self.history.of_items(kept), self.n_users, self.n_items),
            forbidden=torch.from_numpy(np.flatnonzero(~kept | (counts == 0))),
        ).with_targets()

    def with_targets(self) -> _Judge:
        """The same without users that have nothing to be found."""
        return replace(self, users=self.users[np.isin(self.users, self.targets.user_row)])

    def best_of(
        self, recipe: Recipe, priors: tuple[tuple[float, float], ...], weights: sparse.csr_array | None = None
    ) -> _Trial:
        """The best of the priors, (weight, half-life in days) each, with the weights of `recipe`."""
        weights = recipe.weights(self.matrix) if weights is None else weights
        scores = with_prior(summed_weights(self.matrix, weights, self.users), torch.zeros(self.n_items))
        scores.index_fill_(1, self.forbidden, -torch.inf)
        seen = self.matrix[self.users].tocoo()
        scores[torch.from_numpy(seen.row.astype(np.int64)), torch.from_numpy(seen.col.astype(np.int64))] = -torch.inf
        recipes = [
            recipe.model_copy(update={"popularity_weight": weight, "popularity_half_life_days": days})
            for weight, days in priors
        ]
        return max((_Trial(each, self._ndcg(each, scores), weights) for each in recipes), key=_value)

    def _ndcg(self, recipe: Recipe, scores: torch.Tensor) -> float:
        """NDCG@10 of the users by `scores` (n, n_items) and the prior of `recipe`."""
        prior = torch.from_numpy(recipe.prior(self.history, self.n_items))
        places = np.arange(len(self.users), dtype=np.int32)
        ranked, _ = rank_blocks(lambda rows: scores[torch.from_numpy(rows)] + prior, places, 10, None)
        relevance = mark_relevant(self.users, ranked, self.targets, self.n_users, self.n_items)
        return float(ndcg(relevance, 10).mean())
