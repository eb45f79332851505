"""Item-kNN: items like those the user has (Sarwar et al. 2001), with the asymmetric cosine of Aiolli (2013)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsaas_assets.recommender.item_models.weights import ENTRIES, strongest_of_sparse
from resources.base.errors import TooLarge

MAX_PRODUCTS = 4_000_000_000
"""The most pairs of items of one user, all users together, that a run has time to count."""


def knn_weights(
    history: sparse.csr_array, *, neighbours: int = ENTRIES, shrinkage: float = 0.0, exponent: float = 0.5
) -> sparse.csr_array:
    """Weights (n_items, n_items): row j says how much an interaction with item j speaks for each of its neighbours.

    With c_ji users of both and d the users of one, a weight is c_ji / (d_j^(1 − a) · d_i^a + h).

    Args:
        history: ones, (n_users, n_items).
        neighbours: what a row keeps.
        shrinkage: h, which damps weights that few users speak for.
        exponent: a; 0.5 is the cosine, more favours rarer items.

    Raises:
        TooLarge: the users have too many items to count their pairs.
    """
    require_countable(history)
    n_items = history.shape[1]
    users = np.maximum(np.bincount(history.indices, minlength=n_items), 1).astype(np.float32)
    own, other = users ** np.float32(1 - exponent), users ** np.float32(exponent)
    by_item = history.T.tocsr()

    def rows(start: int, stop: int) -> sparse.csr_array:
        shared = by_item[start:stop] @ history
        of_row = np.repeat(own[start:stop], np.diff(shared.indptr))
        shared.data = shared.data / (of_row * other[shared.indices] + np.float32(shrinkage))
        return shared

    return strongest_of_sparse(rows, n_items, neighbours)


def require_countable(history: sparse.csr_array) -> None:
    """Refuse a history whose pairs of items would take too long to count.

    Raises:
        TooLarge: they are more than `MAX_PRODUCTS`.
    """
    products = int((np.diff(history.indptr).astype(np.int64) ** 2).sum())
    if products > MAX_PRODUCTS:
        raise TooLarge(
            f"It counts pairs of items that a user has, up to {MAX_PRODUCTS:,}, and there are {products:,} of them."
        )
