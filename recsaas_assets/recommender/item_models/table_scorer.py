"""The answers of a table to known users, with the numbers of `ItemTable.scores`, many users at a time."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import binary_matrix
from recsaas_assets.recommender.data.arrays import Mask, Rows, Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.scorers import rank_blocks
from resources.release.item_table import ItemTable


class TableScorer:
    """Ranks by a table and what each user has; only items marked in `allowed` (n_items,)."""

    def __init__(self, table: ItemTable, history: sparse.csr_array, allowed: Mask) -> None:
        """`history` (n_users, n_items) holds ones."""
        shape = table.n_items, table.n_items
        self._weights = sparse.csr_array((table.values, table.items, table.indptr), shape=shape)
        self._prior, self._history = torch.from_numpy(table.prior), history
        self._forbidden = torch.from_numpy(np.flatnonzero(~allowed))

    @classmethod
    def of(cls, table: ItemTable, pairs: Pairs, n_users: int) -> TableScorer:
        """For a table fitted on `pairs`: items that nobody there has met are never ranked."""
        known = pairs.users_per_item(table.n_items) > 0
        return cls(table, binary_matrix(pairs, n_users, table.n_items), known)

    def scores(self, user_rows: Rows) -> torch.Tensor:
        """Scores of all items, (n, n_items), by what the users `user_rows` (n,) have."""
        return with_prior(summed_weights(self._history, self._weights, user_rows), self._prior)

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""

        def score(rows: Rows) -> torch.Tensor:
            return self.scores(rows).index_fill_(1, self._forbidden, -torch.inf)

        return rank_blocks(score, user_rows, k, seen)


def summed_weights(history: sparse.csr_array, weights: sparse.csr_array, user_rows: Rows) -> torch.Tensor:
    """Weights (n_items, n_items) of what the users `user_rows` (n,) have, added up: (n, n_items) float32."""
    return torch.from_numpy((history[user_rows] @ weights).toarray().astype(np.float32, copy=False))


def with_prior(sums: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """The sums (n, n_items), each row divided by its standard deviation, plus `prior` (n_items,)."""
    spread = sums.std(dim=1, correction=0, keepdim=True)
    return sums.div(torch.where(spread > 0, spread, 1.0)).add_(prior)
