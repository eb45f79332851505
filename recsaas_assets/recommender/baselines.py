"""What LightGCN is measured against on the same split: popularity and item-kNN."""

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.scorers import ItemScorer, rank_blocks

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


def recent_popularity(pairs: Pairs, n_items: int, half_life_days: float) -> Scores:
    """Distinct users per item, each counted half for every half-life since its last interaction; shape (n_items,)."""
    weights = np.exp2(-pairs.age_days / np.float32(half_life_days))
    return np.bincount(pairs.item_row, weights=weights, minlength=n_items).astype(np.float32)


def popularity_scorer(pairs: Pairs, n_items: int) -> ItemScorer:
    """Ranks by the number of distinct users; an item nobody has interacted with is never ranked."""
    users = pairs.users_per_item(n_items).astype(np.float32)
    return ItemScorer(np.where(users > 0, users, -np.inf).astype(np.float32))


def recent_popularity_scorer(pairs: Pairs, n_items: int, half_life_days: float) -> ItemScorer:
    """Ranks by recent popularity; an item nobody has interacted with is never ranked."""
    recent = recent_popularity(pairs, n_items, half_life_days)
    return ItemScorer(np.where(pairs.users_per_item(n_items) > 0, recent, -np.inf).astype(np.float32))


class ItemKNN:
    """Cosine item-kNN (Sarwar et al. 2001) on binary pairs: score = Σ over the user's items of their cosine.

    Each item keeps its ``neighbours`` most similar ones. Built block by block; memory is O(n_items · neighbours).
    """

    def __init__(self, pairs: Pairs, n_users: int, n_items: int, *, neighbours: int = 200) -> None:
        matrix = pairs.csr(n_users, n_items)
        self._history = sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
        degrees = np.bincount(matrix.indices, minlength=n_items)
        inverse = sparse.diags_array(1 / np.sqrt(np.maximum(degrees, 1)).astype(np.float32))
        scaled = (self._history @ inverse).tocsr()
        self._similar = _nearest(scaled, neighbours)
        self._forbidden = torch.from_numpy(degrees == 0)

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""

        def score(rows: Rows) -> torch.Tensor:
            dense = torch.from_numpy((self._history[rows] @ self._similar).toarray().astype(np.float32))
            return dense.masked_fill_(self._forbidden, -torch.inf)

        return rank_blocks(score, user_rows, k, seen)


def _nearest(scaled: sparse.csr_array, neighbours: int) -> sparse.csr_array:
    """Similarities (n_items, n_items): column j holds the cosines of the items nearest to item j."""
    n_items = scaled.shape[1]
    if n_items == 0:
        return sparse.csr_array((0, 0), dtype=np.float32)
    transposed = scaled.T.tocsr()
    blocks = []
    for start in range(0, n_items, 512):
        cosines = (transposed[start : start + 512] @ scaled).toarray()
        own = np.arange(len(cosines))
        cosines[own, own + start] = 0
        width = min(neighbours, n_items)
        columns = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
        values = np.take_along_axis(cosines, columns, axis=1)
        rows = np.repeat(own, width)
        block = sparse.csr_array((values.ravel(), (rows, columns.ravel())), shape=cosines.shape)
        block.eliminate_zeros()
        blocks.append(block)
    return sparse.vstack(blocks, format="csr").T.tocsr()
