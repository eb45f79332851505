"""Training examples of the second stage: candidates of the retrieval with their features and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.data.arrays import Counts, Floats
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.second_stage.retrieval import Retrieval


@dataclass(frozen=True, eq=False)
class Examples:
    """Described candidates of some users, best first, one user below the other.

    Attributes:
        features: (n, n_features).
        labels: (n,) 1 where the candidate is one of the user's targets, else 0.
        groups: number of candidates of each user, in order.
        targets: number of targets of each user, found by the retrieval or not.
    """

    features: Floats
    labels: npt.NDArray[np.int8]
    groups: Counts
    targets: Counts

    def thinned(self, share: float, *, seed: int) -> Examples:
        """All hits, and about ``share`` of the other candidates, drawn by ``seed``: they teach nearly as much."""
        kept = (self.labels > 0) | (np.random.default_rng(seed).random(len(self.labels)) < share)
        ends = np.cumsum(self.groups)
        groups = np.diff(np.concatenate([[0], np.cumsum(kept)[ends - 1]])).astype(np.int64)
        return Examples(self.features[kept], self.labels[kept], groups, self.targets)

    def of_users(self, chosen: npt.NDArray[np.bool_]) -> Examples:
        """The examples of some of the users, marked in ``chosen`` (n_users,)."""
        rows = np.repeat(chosen, self.groups)
        return Examples(self.features[rows], self.labels[rows], self.groups[chosen], self.targets[chosen])


def examples_of(retrieval: Retrieval, holdout: Holdout, *, limit: int, seed: int) -> Examples:
    """Ask the retrieval for the candidates of users with targets, and label them by what came later.

    A user with no target among the candidates teaches no order and is left out. Of more than ``limit`` users as many
    are drawn by ``seed``.
    """
    targets = drawn(holdout.targets, holdout.n_users, limit=limit, seed=seed)
    users = np.unique(targets.user_row).astype(np.int32)
    wanted = targets.user_row.astype(np.int64) * holdout.n_items + targets.item_row
    n_targets = targets.items_per_user(holdout.n_users)
    features, labels, groups, counts = [np.empty((0, len(retrieval.describe.names)), np.float32)], [], [], []
    for user, described in retrieval.candidates(users, holdout.seen):
        hits = np.isin(user * holdout.n_items + described.rows.astype(np.int64), wanted)
        if hits.any():
            features.append(described.features)
            labels.append(hits)
            groups.append(len(hits))
            counts.append(n_targets[user])
    return Examples(
        features=np.concatenate(features),
        labels=np.concatenate([np.empty(0, np.int8), *labels]).astype(np.int8),
        groups=np.array(groups, np.int64),
        targets=np.array(counts, np.int64),
    )


def drawn(targets: Pairs, n_users: int, *, limit: int, seed: int) -> Pairs:
    """The pairs of ``limit`` users drawn by ``seed``; all where there are not more."""
    users = np.unique(targets.user_row)
    if len(users) <= limit:
        return targets
    chosen = np.zeros(n_users, dtype=np.bool_)
    chosen[np.random.default_rng(seed).choice(users, limit, replace=False)] = True
    return targets.of_users(chosen)
