"""EASE: the linear item–item model with a closed form (Steck 2019, "Embarrassingly Shallow Autoencoders")."""

from __future__ import annotations

import numpy as np
import torch

from recsaas_assets.recommender.baselines.dense import DenseScorer, binary_matrix
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import TooLarge

MAX_BYTES = 1024**3
_COPIES = 3
_FLOAT32 = 4


def ease_bytes(n_items: int) -> int:
    """Peak memory of a fit: the Gram matrix, its factor and its inverse, all dense (n_items, n_items) float32."""
    return _COPIES * _FLOAT32 * n_items * n_items


def ease(
    pairs: Pairs, n_users: int, n_items: int, *, regularisation: float = 500.0, max_bytes: int = MAX_BYTES
) -> DenseScorer:
    """score = X·B with B_ij = −P_ij / P_jj, B_jj = 0, P = (XᵀX + λI)⁻¹ (Steck 2019, eq. 8) on binary pairs X.

    Raises:
        TooLarge: the fit would need more than `max_bytes`; the time grows with the cube of the items besides.
    """
    needed = ease_bytes(n_items)
    if needed > max_bytes:
        raise TooLarge(
            f"EASE over {n_items:,} items needs {needed / 1e9:.1f} GB, more than the {max_bytes / 1e9:.1f} GB allowed; "
            "leave it out for this catalogue."
        )
    history = binary_matrix(pairs, n_users, n_items)
    gram = torch.from_numpy((history.T @ history).toarray().astype(np.float32))
    gram.diagonal().add_(regularisation)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    diagonal = inverse.diagonal().clone()
    weights = inverse.div_(-diagonal)
    weights.fill_diagonal_(0)
    dense = weights.numpy()

    def score(rows: Rows) -> torch.Tensor:
        return torch.from_numpy(np.asarray(history[rows] @ dense, dtype=np.float32))

    return DenseScorer.of(score, pairs, n_items)
