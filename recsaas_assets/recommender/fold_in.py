"""Users the fit has not seen: their vector from a few events, through the same graph, without training.

LightGCN's final user embedding is Σ_k w_k (N^k E0)_u (He et al. 2020, eq. 4 and 8). A new user has no E0, and the
embeddings of the items stay as they are, so with events of weight r_i and degree d_u = Σ_i r_i

    e_u = d_u^-½ Σ_i r_i z_i   with   z_i = d_i^-½ Σ_{k≥1} w_k e_i^(k-1)

where e_i^(k) is the item's embedding in layer k. The stored user vectors have unit length, so d_u falls away and only
the z_i have to be kept.
"""

from __future__ import annotations

import numpy as np
import torch

from recsaas_assets.recommender.graph import Bipartite
from recsaas_assets.recommender.vectors import Vectors


def fold_in_vectors(
    graph: Bipartite,
    users: torch.Tensor,
    items: torch.Tensor,
    layer_weights: tuple[float, ...],
    item_degrees: Vectors,
) -> Vectors:
    """The z_i, shape (n_items, t), for parameters E0 = (users, items) and weighted item degrees (n_items,).

    An item without any pair adds nothing. With one layer weight there is no propagation, and all are zero.
    """
    total = torch.zeros_like(items)
    for weight in layer_weights[1:]:
        total.add_(items, alpha=weight)
        users, items = graph.user_item @ items, graph.item_user @ users
    scale = np.where(item_degrees > 0, 1 / np.sqrt(np.maximum(item_degrees, 1e-12)), 0).astype(np.float32)
    folded: Vectors = total.numpy() * scale[:, None]
    return folded
