"""Scorer of the personal baselines: scores of all items for a block of users, with or without recent popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.baselines.popularity import recent_popularity
from recsaas_assets.recommender.data.arrays import Rows, Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.scorers import BlockScores, rank_blocks


@dataclass(frozen=True, eq=False)
class DenseScorer:
    """Ranks by `score`; items marked in `forbidden` (n_items,) are never ranked."""

    score: BlockScores
    forbidden: torch.Tensor

    @classmethod
    def of(cls, score: BlockScores, pairs: Pairs, n_items: int) -> DenseScorer:
        """A ranker fitted on `pairs`: items that nobody there has met are never ranked."""
        return cls(score, torch.from_numpy(pairs.users_per_item(n_items) == 0))

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""
        return rank_blocks(lambda rows: self.score(rows).masked_fill_(self.forbidden, -torch.inf), user_rows, k, seen)

    def with_recency(self, pairs: Pairs, n_items: int, *, weight: float, half_life_days: float) -> DenseScorer:
        """The same ranker with what LightGCN's readout has: weight · log(1 + recent popularity) added to each score.

        A user's scores are first divided by their standard deviation over the items, so that one weight suits all
        users and all models.
        """
        recent = torch.from_numpy(np.log1p(recent_popularity(pairs, n_items, half_life_days))) * weight

        def score(rows: Rows) -> torch.Tensor:
            scores = self.score(rows)
            spread = scores.std(dim=1, correction=0, keepdim=True).clamp_min_(1e-12)
            return scores.div_(spread).add_(recent)

        return DenseScorer(score, self.forbidden)


def binary_matrix(pairs: Pairs, n_users: int, n_items: int) -> sparse.csr_array:
    """The pairs as ones, float32, shape (n_users, n_items)."""
    matrix = pairs.csr(n_users, n_items)
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
