"""Item-kNN: items like those the user has (Sarwar et al. 2001)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import DenseScorer, binary_matrix
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.pairs import Pairs

_BLOCK = 512


def item_knn(pairs: Pairs, n_users: int, n_items: int, *, neighbours: int = 200, shrinkage: float = 0.0) -> DenseScorer:
    """Cosine item-kNN on binary pairs: score = Σ over the user's items of their cosine.

    Each item keeps its `neighbours` most similar ones. `shrinkage` h damps cosines that few users speak for: they are
    divided by 1 + h / √(d_i·d_j), d being numbers of users. Built block by block; memory is O(n_items · neighbours).
    """
    history = binary_matrix(pairs, n_users, n_items)
    similar = _nearest(history, neighbours, shrinkage)

    def score(rows: Rows) -> torch.Tensor:
        return torch.from_numpy((history[rows] @ similar).toarray().astype(np.float32))

    return DenseScorer.of(score, pairs, n_items)


def _nearest(history: sparse.csr_array, neighbours: int, shrinkage: float) -> sparse.csr_array:
    """Similarities (n_items, n_items): column j holds the cosines of the items nearest to item j."""
    n_items = history.shape[1]
    if n_items == 0:
        return sparse.csr_array((0, 0), dtype=np.float32)
    roots = np.sqrt(np.maximum(np.bincount(history.indices, minlength=n_items), 1)).astype(np.float32)
    transposed = history.T.tocsr()
    width = min(neighbours, n_items)
    blocks = []
    for start in range(0, n_items, _BLOCK):
        shared = (transposed[start : start + _BLOCK] @ history).toarray()
        cosines = shared / (roots[start : start + _BLOCK, None] * roots + np.float32(shrinkage))
        own = np.arange(len(cosines))
        cosines[own, own + start] = 0
        columns = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
        values = np.take_along_axis(cosines, columns, axis=1)
        rows = np.repeat(own, width)
        block = sparse.csr_array((values.ravel(), (rows, columns.ravel())), shape=cosines.shape)
        block.eliminate_zeros()
        blocks.append(block)
    return sparse.vstack(blocks, format="csr").T.tocsr()
