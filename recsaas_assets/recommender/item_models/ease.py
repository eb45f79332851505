"""EASE: the linear item–item model with a closed form (Steck 2019, "Embarrassingly Shallow Autoencoders")."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.sparse_rows import SparseRows
from recsaas_assets.recommender.item_models.weights import ENTRIES, row_blocks, strongest
from resources.base.errors import TooLarge

MAX_SIDE = 6_000
"""The most users or items, whichever are fewer, whose dense inverse a run has time for."""


def ease_weights(
    history: sparse.csr_array, *, regularisation: float = 500.0, entries: int = ENTRIES
) -> sparse.csr_array:
    """B_ij = −P_ij / P_jj, B_jj = 0, P = (XᵀX + λI)⁻¹ (eq. 8) on `history` X: the `entries` strongest of each row.

    With fewer users than items it is K = (XXᵀ + λI)⁻¹ that is computed. By the identity of Woodbury
    λP = I − XᵀKX, so that B_ij = x_iᵀKx_j / (1 − x_jᵀKx_j) with the columns x of X: the same model, exactly, at the
    cost of the cube of the users. Users and items without a pair take no part.

    Args:
        history: ones, (n_users, n_items).
        regularisation: λ.

    Raises:
        TooLarge: there are more than `MAX_SIDE` of both users and items.
    """
    n_items = history.shape[1]
    active = np.unique(history.indices)
    packed = history[:, active]
    packed = packed[np.flatnonzero(np.diff(packed.indptr))]
    _require_fits(*packed.shape)
    solve = _by_users if packed.shape[0] < packed.shape[1] else _by_items
    strong = solve(packed, regularisation, entries).tocoo()
    found = sparse.csr_array((strong.data, (active[strong.row], active[strong.col])), shape=(n_items, n_items))
    found.sort_indices()
    return found


def _by_items(history: sparse.csr_array, regularisation: float, entries: int) -> sparse.csr_array:
    inverse = _inverse(history.T @ history, regularisation)
    denominators = -inverse.diagonal()
    return strongest(lambda start, stop: inverse[start:stop] / denominators, history.shape[1], entries)


def _by_users(history: sparse.csr_array, regularisation: float, entries: int) -> sparse.csr_array:
    n_items = history.shape[1]
    inverse = _inverse(history @ history.T, regularisation)
    by_item = sparse.csr_array(history.T.tocsr())
    whole = SparseRows.of(by_item)
    explained = np.empty(n_items, dtype=np.float32)
    for start, stop in row_blocks(max(history.shape)):
        rows = by_item[start:stop]
        solved = (SparseRows.of(rows) @ inverse).numpy()
        item, user = rows.tocoo().coords
        explained[start:stop] = np.bincount(item, weights=solved[item, user], minlength=rows.shape[0])
    denominators = 1 - torch.from_numpy(explained)

    def rows_of(start: int, stop: int) -> torch.Tensor:
        solved = SparseRows.of(by_item[start:stop]) @ inverse
        return (whole @ solved.T.contiguous()).T.contiguous().div_(denominators)

    return strongest(rows_of, n_items, entries)


def _inverse(gram: sparse.csr_array, regularisation: float) -> torch.Tensor:
    dense = torch.from_numpy(gram.toarray().astype(np.float32))
    dense.diagonal().add_(regularisation)
    # `cholesky_inverse` gives the same and is twenty times as slow.
    return torch.cholesky_solve(torch.eye(len(dense)), torch.linalg.cholesky(dense))


def _require_fits(n_users: int, n_items: int) -> None:
    if min(n_users, n_items) > MAX_SIDE:
        raise TooLarge(
            f"It is fitted up to {MAX_SIDE:,} users or items, and there are {n_users:,} users and {n_items:,} items."
        )
