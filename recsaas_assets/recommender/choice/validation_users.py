"""NDCG@10 of each validation user, and how sure it is that one configuration is ahead of another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.arrays import Values, Vectors
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg
from recsaas_assets.recommender.metrics.scorers import VectorScorer

STANDARD_ERRORS = 3.0
"""The best of thirty configurations that are all alike is some two standard errors ahead by luck alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationUsers:
    """Users of the validation period, and the items new to them that they took up in it."""

    users: npt.NDArray[np.int32]
    targets: Pairs
    history: Pairs
    n_users: int
    n_items: int

    @classmethod
    def of(cls, data: TrainingSet, seed: int, *, limit: int) -> ValidationUsers:
        """At most ``limit`` of them, drawn by the seed."""
        holdout = Holdout(data.train, data.validation, data.n_users, data.n_items)
        users = np.unique(holdout.targets.user_row).astype(np.int32)
        if len(users) > limit:
            users = np.sort(np.random.default_rng(seed).choice(users, limit, replace=False))
        return cls(users, holdout.targets, data.train, data.n_users, data.n_items)

    def ndcg_at_10(self, users: Vectors, items: Vectors) -> Values:
        """NDCG@10 of each user, (n,), by ``users`` (n_users, d) and ``items`` (n_items, d); seen items are left out."""
        scorer = VectorScorer(users, items, self.history.users_per_item(self.n_items) > 0)
        ranked, _ = scorer.top_k(self.users, 10, self.history.csr(self.n_users, self.n_items))
        return self._ndcg(ranked)

    def ndcg_with(self, users: Vectors, items: Vectors, additions: Iterable[Vectors]) -> Iterator[Values]:
        """The same once for each of ``additions`` (n_items,), which is added to every user's scores.

        The products of all users and items are kept in memory: 4 bytes · users · n_items.
        """
        scores = torch.from_numpy(users[self.users]) @ torch.from_numpy(np.ascontiguousarray(items)).T
        history = self.history.csr(self.n_users, self.n_items)[self.users].tocoo()
        scores[
            torch.from_numpy(history.row.astype(np.int64)), torch.from_numpy(history.col.astype(np.int64))
        ] = -torch.inf
        scores[:, torch.from_numpy(self.history.users_per_item(self.n_items) == 0)] = -torch.inf
        for addition in additions:
            ranked = (scores + torch.from_numpy(addition)).topk(min(10, self.n_items), dim=1).indices
            yield self._ndcg(ranked.numpy().astype(np.int32))

    def _ndcg(self, ranked: npt.NDArray[np.int32]) -> Values:
        return ndcg(mark_relevant(self.users, ranked, self.targets, self.n_users, self.n_items), 10)


def clearly_ahead(candidate: Values, reference: Values) -> bool:
    """Whether the mean of ``candidate`` − ``reference``, both (n,) over the same users, is above three standard errors.

    Never with one user or none.
    """
    if len(candidate) < 2:
        return False
    difference = candidate - reference
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return float(difference.mean()) > STANDARD_ERRORS * error
