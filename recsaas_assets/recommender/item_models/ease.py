"""EASE, the linear item–item model with a closed form (Steck 2019, "Embarrassingly Shallow Autoencoders").

With many items each is explained by those nearest to it alone: ridge regressions of one size instead of one dense
inverse, as in SLIM with a fixed neighbourhood (Ning and Karypis 2011) and in the sparse approximation of Steck (2019,
"Markov Random Fields for Collaborative Filtering").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Counts, Floats
from recsaas_assets.recommender.item_models.item_knn import knn_weights
from recsaas_assets.recommender.item_models.weights import ENTRIES, strongest
from resources.base.errors import TooLarge

DENSE_ITEMS = 2_000
"""Up to so many items the dense inverse is computed."""
NEIGHBOURS = 64
"""Items that explain one item where there are more."""
LEAST_USERS = 3
"""Of an item that its neighbourhood explains; fewer say nothing."""
MAX_PRODUCTS = 300_000_000
"""The most pairs of items of one user, all users together, whose counts a run has memory for."""
_AT_ONCE = 256


def ease_weights(
    history: sparse.csr_array, regularisations: Sequence[float], *, entries: int = ENTRIES
) -> list[sparse.csr_array]:
    """Weights (n_items, n_items) float32 for each λ, with the `entries` strongest of each column.

    Up to `DENSE_ITEMS` items with a pair: B_ij = −P_ij / P_jj, B_jj = 0, P = (XᵀX + λI)⁻¹ (eq. 8). With more: column j
    is (G_SS + λI)⁻¹ G_Sj with G = XᵀX and S the `NEIGHBOURS` items nearest to j by cosine.

    Args:
        history: X, ones, (n_users, n_items).
        regularisations: the λ; several cost little more than one.

    Raises:
        TooLarge: the users have too many items to keep the counts of their pairs.
    """
    n_items = history.shape[1]
    active = np.unique(history.indices)
    if len(active) > DENSE_ITEMS:
        return _of_neighbourhoods(history, regularisations, entries)
    packed = history[:, active]
    gram = torch.from_numpy((packed.T @ packed).toarray().astype(np.float32))
    return [_spread(_dense(gram, each, entries), active, n_items) for each in regularisations]


def _dense(gram: torch.Tensor, regularisation: float, entries: int) -> sparse.csr_array:
    identity = torch.eye(len(gram))
    # `cholesky_inverse` gives the same and is twenty times as slow.
    inverse = torch.cholesky_solve(identity, torch.linalg.cholesky(gram + regularisation * identity))
    denominators = -inverse.diagonal()[:, None]
    return strongest(lambda start, stop: inverse[start:stop] / denominators[start:stop], len(gram), entries)


def _spread(weights: sparse.csr_array, active: Counts, n_items: int) -> sparse.csr_array:
    strong = weights.tocoo()
    found = sparse.csr_array((strong.data, (active[strong.row], active[strong.col])), shape=(n_items, n_items))
    found.sort_indices()
    return found


def _of_neighbourhoods(
    history: sparse.csr_array, regularisations: Sequence[float], entries: int
) -> list[sparse.csr_array]:
    products = int((np.diff(history.indptr).astype(np.int64) ** 2).sum())
    if products > MAX_PRODUCTS:
        raise TooLarge(
            f"With more than {DENSE_ITEMS:,} items it keeps counts of pairs of items that a user has, up to "
            f"{MAX_PRODUCTS:,}, and there are {products:,} of them."
        )
    n_items = history.shape[1]
    near = knn_weights(history, neighbours=min(NEIGHBOURS, entries)).T.tocsr()
    gram = sparse.csr_array(history.T.tocsr() @ history)
    explained = np.flatnonzero((gram.diagonal() >= LEAST_USERS) & (np.diff(near.indptr) > 0))
    rows, columns = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    values: list[list[Floats]] = [[np.empty(0, np.float32)] for _ in regularisations]
    for start in range(0, len(explained), _AT_ONCE):
        items = explained[start : start + _AT_ONCE]
        nearest = [near.indices[near.indptr[item] : near.indptr[item + 1]] for item in items]
        rows += nearest
        columns.append(np.repeat(items, [len(each) for each in nearest]))
        for kept, solved in zip(values, _solved(gram, items, nearest, regularisations), strict=True):
            kept.append(solved)
    places = np.concatenate(rows), np.concatenate(columns)
    found = [sparse.csr_array((np.concatenate(each), places), shape=(n_items, n_items)) for each in values]
    for each in found:
        each.sort_indices()
    return found


def _solved(
    gram: sparse.csr_array, items: Counts, nearest: list[Floats], regularisations: Sequence[float]
) -> list[Floats]:
    """For each λ the weights of the items nearest to each of `items`, one item behind the other."""
    sizes = np.array([len(others) for others in nearest])
    width = int(sizes.max())
    systems = np.zeros((len(items), width, width), dtype=np.float32)
    sides = np.zeros((len(items), width, 1), dtype=np.float32)
    for n, (item, others) in enumerate(zip(items, nearest, strict=True)):
        among = gram[np.append(others, item)][:, others].toarray()
        systems[n, : len(others), : len(others)] = among[:-1]
        sides[n, : len(others), 0] = among[-1]
    kept = np.arange(width) < sizes[:, None]
    ridge = torch.eye(width)
    found = []
    for each in regularisations:
        factors = torch.linalg.cholesky(torch.from_numpy(systems) + each * ridge)
        found.append(torch.cholesky_solve(torch.from_numpy(sides), factors)[:, :, 0].numpy()[kept])
    return found
