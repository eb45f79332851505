"""LightGCN's forward pass, its readout, and their derivatives written out."""

import torch

from recsaas_assets.recommender.lightgcn.graph import Bipartite
from recsaas_assets.recommender.lightgcn.objective import LossGradient, Poll, Step

Embeddings = tuple[torch.Tensor, torch.Tensor]
"""User embeddings (n_users, d) and item embeddings (n_items, d), float32."""


def propagate(
    graph: Bipartite,
    users: torch.Tensor,
    items: torch.Tensor,
    layer_weights: tuple[float, ...],
    poll: Poll = lambda: None,
) -> Embeddings:
    """Σ_k w_k N^k E0 (LightGCN, He et al. 2020, eq. 4) for E0 = (users, items).

    The operator is a polynomial in a symmetric matrix, so it is self-adjoint: given the gradient of the loss by its
    output, the same call returns the gradient by its input. Calls ``poll`` before each layer.
    """
    out_users = users * layer_weights[0]
    out_items = items * layer_weights[0]
    for weight in layer_weights[1:]:
        poll()
        users, items = graph.user_item @ items, graph.item_user @ users
        if weight:
            out_users.add_(users, alpha=weight)
            out_items.add_(items, alpha=weight)
    return out_users, out_items


def through_graph(
    graph: Bipartite,
    step: Step,
    users: torch.Tensor,
    items: torch.Tensor,
    layer_weights: tuple[float, ...],
    poll: Poll = lambda: None,
) -> LossGradient:
    """The loss of ``step`` and its gradient by E0 = (users, items), which stay as they are."""
    found = step(*propagate(graph, users, items, layer_weights, poll))
    by_users, by_items = propagate(graph, found.users, found.items, layer_weights, poll)
    loss = found.loss
    for parameter, gradient, decay in ((users, by_users, found.decay_users), (items, by_items, found.decay_items)):
        if decay is not None:
            decayed = parameter * decay[:, None]
            loss += float((decayed * parameter).sum()) / 2
            gradient.add_(decayed)
    return LossGradient(loss, by_users, by_items)


def normalise(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors (n, d) and lengths (n, 1); a zero vector stays zero."""
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_min_(1e-12)
    return vectors / lengths, lengths


def normalise_backward(unit: torch.Tensor, lengths: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Gradient by the vectors from the gradient by their unit vectors: (g - û(û·g)) / |u|, shape (n, d)."""
    along = (unit * gradient).sum(dim=1, keepdim=True)
    return gradient.sub(unit * along).div_(lengths)
