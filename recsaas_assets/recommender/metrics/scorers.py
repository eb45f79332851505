"""Rankers over the item rows: one small protocol that models and baselines share."""

from typing import Protocol

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Mask, Rows, Scores

_BLOCK = 1024
_CHUNK = 64


class Scorer(Protocol):
    """Anything that ranks items for users."""

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """Best ``k`` item rows and their scores, both (n, k), best first, ties by lower row.

        Items in row ``user_rows[i]`` of ``seen`` (n_users, n_items) are left out. Places that cannot be filled hold
        −1 and −inf.
        """
        ...


class VectorScorer:
    """Exact inner products of user vectors (n_users, d) and item vectors (n_items, d).

    ``allowed`` (n_items,) marks the items that may be ranked at all: those with a learned vector.
    """

    def __init__(self, user_vectors: Scores, item_vectors: Scores, allowed: Mask) -> None:
        self._users = torch.from_numpy(np.ascontiguousarray(user_vectors))
        self._items = torch.from_numpy(np.ascontiguousarray(item_vectors))
        self._forbidden = torch.from_numpy(np.flatnonzero(~allowed))

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""

        def score(rows: Rows) -> torch.Tensor:
            scores = self._users[torch.from_numpy(rows.astype(np.int64))] @ self._items.T
            return scores.index_fill_(1, self._forbidden, -torch.inf)

        return rank_blocks(score, user_rows, k, seen)


class ItemScorer:
    """The same item scores (n_items,) for everybody; items with score −inf are never ranked."""

    def __init__(self, item_scores: Scores) -> None:
        self._scores = torch.from_numpy(np.ascontiguousarray(item_scores, dtype=np.float32))

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""
        return rank_blocks(lambda rows: self._scores.repeat(len(rows), 1), user_rows, k, seen)


class BlockScores(Protocol):
    """Dense scores (len(rows), n_items) of a block of users; the caller may overwrite them."""

    def __call__(self, rows: Rows) -> torch.Tensor:
        """Scores of the users in ``rows``."""
        ...


def rank_blocks(score: BlockScores, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
    """Best items of the users ``user_rows`` (n,) with their scores, both (n, k), items in ``seen`` left out.

    It ranks block by block, so that memory stays at a block of dense scores.
    """
    rows = np.full((len(user_rows), k), -1, dtype=np.int32)
    scores = np.full((len(user_rows), k), -np.inf, dtype=np.float32)
    for start in range(0, len(user_rows), _BLOCK):
        users = user_rows[start : start + _BLOCK]
        dense = score(users)
        if seen is not None:
            history = seen[users].tocoo()
            places = history.row.astype(np.int64), history.col.astype(np.int64)
            dense[torch.from_numpy(places[0]), torch.from_numpy(places[1])] = -torch.inf
        width = min(k, dense.shape[1])
        best, items = (each.numpy() for each in best_columns(dense, width))
        order = np.lexsort((items, -best), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        items = np.take_along_axis(items, order, axis=1)
        scores[start : start + _BLOCK, :width] = best
        rows[start : start + _BLOCK, :width] = np.where(np.isneginf(best), -1, items)
    return rows, scores


def best_columns(dense: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``k`` largest of each row (n, m) and their columns, both (n, k).

    The k best lie in the k chunks with the largest maxima, so that a wide row is read once for the maxima, and only
    k chunks of it are searched.
    """
    width = dense.shape[1]
    n_chunks = width // _CHUNK
    if n_chunks < 4 * k:
        best, columns = torch.topk(dense, k, dim=1)
        return best, columns
    whole = n_chunks * _CHUNK
    chunks = dense[:, :whole].view(len(dense), n_chunks, _CHUNK).amax(dim=2).topk(k, dim=1).indices
    inside = (chunks[:, :, None] * _CHUNK + torch.arange(_CHUNK)).flatten(1)
    candidates = torch.cat([inside, torch.arange(whole, width).expand(len(dense), -1)], dim=1)
    best, places = dense.gather(1, candidates).topk(k, dim=1)
    return best, candidates.gather(1, places)
