"""The normalised user–item graph LightGCN propagates over, as sparse matrices in both directions."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.sparse_rows import SparseRows
from resources.tenants.model_configs import EdgeWeight

_MOST_HALVINGS = 40


class Product(Protocol):
    """A matrix that can be multiplied by a dense one."""

    def __matmul__(self, dense: torch.Tensor, /) -> torch.Tensor:
        """The product."""
        ...


@dataclass(frozen=True, eq=False)
class Bipartite:
    """A sparse matrix over users and items, and its transpose.

    ``user_item``: (n_users, n_items); ``item_user``: (n_items, n_users).
    """

    user_item: Product
    item_user: Product


def edge_weights(pairs: Pairs, kind: EdgeWeight, half_life_days: float | None = None) -> npt.NDArray[np.float32]:
    """Damped weight of every pair, shape (n_pairs,), optionally halved for every ``half_life_days`` of age.

    It is halved at most 40 times, so that a pair of years ago keeps a weight that float32 can tell from none.
    """
    damped: npt.NDArray[np.float32]
    if kind == "binary":
        damped = np.ones_like(pairs.weight)
    elif kind == "log":
        damped = np.log1p(pairs.weight)
    elif kind == "sqrt":
        damped = np.sqrt(pairs.weight)
    else:
        damped = pairs.weight.copy()
    if half_life_days is not None:
        damped = damped * np.exp2(-np.minimum(pairs.age_days / np.float32(half_life_days), _MOST_HALVINGS))
    return damped.astype(np.float32)


def normalised_adjacency(
    pairs: Pairs, weights: npt.NDArray[np.float32], n_users: int, n_items: int
) -> sparse.csr_array:
    """N = D_u^-½ R D_i^-½ (LightGCN, He et al. 2020, eq. 8), shape (n_users, n_items).

    Degrees are sums of ``weights``; a user or item without any pair keeps an empty row or column, and so does one
    whose pairs all have weight 0.
    """
    users = np.bincount(pairs.user_row, weights=weights, minlength=n_users)
    items = np.bincount(pairs.item_row, weights=weights, minlength=n_items)
    scale = np.sqrt(users[pairs.user_row] * items[pairs.item_row])
    values = np.divide(weights, scale, out=np.zeros_like(scale), where=scale > 0)
    return to_csr(pairs, values.astype(np.float32), n_users, n_items)


def to_csr(pairs: Pairs, values: npt.NDArray[np.float32], n_users: int, n_items: int) -> sparse.csr_array:
    """A sparse matrix of shape (n_users, n_items) with ``values`` at the pairs."""
    return sparse.csr_array((values, (pairs.user_row, pairs.item_row)), shape=(n_users, n_items))


def bipartite(matrix: sparse.csr_array, *, device: str = "cpu") -> Bipartite:
    """The torch form of ``matrix`` (n_users, n_items) and of its transpose, in the memory of ``device``."""
    return Bipartite(SparseRows.of(matrix, device=device), SparseRows.of(matrix.T.tocsr(), device=device))
