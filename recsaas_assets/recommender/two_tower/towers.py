"""The two towers: ids, history and features to unit vectors.

With id embeddings p_u and q_i, features x_u and x_i, and the user's history h_u, the weighted mean of the q_j of the
items in it:

    user:  normalise(p_u + h_u + β·MLP([p_u, h_u, x_u]))        item:  normalise(q_i + β·MLP([q_i, x_i]))

The sum keeps what factorisation alone learns (as SimpleX, Mao et al. 2021); the hidden layer adds what features say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch.nn import functional

_SHORTEST = 1e-3


@dataclass(eq=False)
class Layer:
    """One hidden layer with ReLU: (width, hidden), (hidden,), (hidden, t)."""

    enter: torch.Tensor
    bias: torch.Tensor
    leave: torch.Tensor

    @classmethod
    def start(cls, width: int, hidden: int, out: int, *, std: float, generator: torch.Generator) -> Layer:
        """He's start for the way in (2015); a small one for the way out, so that the embeddings lead at first."""
        enter = torch.randn(width, hidden, generator=generator) * (2 / max(width, 1)) ** 0.5
        leave = torch.randn(hidden, out, generator=generator) * (std / hidden**0.5)
        return cls(enter, torch.zeros(hidden), leave)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, width) to (n, t)."""
        return functional.relu(inputs @ self.enter + self.bias) @ self.leave


@dataclass(frozen=True, eq=False)
class History:
    """The items behind each of n users, as bags: `functional.embedding_bag`'s arguments.

    ``weights`` add up to 1 within each bag; an empty bag gives zero.
    """

    items: torch.Tensor
    starts: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, owner: torch.Tensor, items: torch.Tensor, weights: torch.Tensor, n_users: int) -> History:
        """From pairs sorted by ``owner`` (0 … n_users-1), all of shape (n_pairs,)."""
        totals = weights.new_zeros(n_users).index_add_(0, owner, weights)
        starts = torch.searchsorted(owner, torch.arange(n_users))
        return cls(items, starts, weights / totals[owner].clamp_min(1e-12))

    def mean(self, embeddings: torch.Tensor) -> torch.Tensor:
        """The weighted means, shape (n, t)."""
        return functional.embedding_bag(
            self.items, embeddings, self.starts, mode="sum", per_sample_weights=self.weights
        )


@dataclass(eq=False)
class Towers:
    """All parameters; t is the length of the vectors."""

    user_ids: torch.Tensor
    item_ids: torch.Tensor
    user_layer: Layer
    item_layer: Layer
    mix: float
    """β above."""

    def parameters(self) -> Iterator[torch.Tensor]:
        """Every tensor that is learned, always in the same order."""
        yield self.user_ids
        yield self.item_ids
        for layer in (self.user_layer, self.item_layer):
            yield from (getattr(layer, field.name) for field in fields(layer))

    def users(self, ids: torch.Tensor, history: History, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors (n, t) from id embeddings (n, t), bags of n users and features (n, width)."""
        means = history.mean(self.item_ids)
        hidden = self.user_layer(torch.cat([ids, means, inputs], dim=1))
        return functional.normalize(ids + means + self.mix * hidden, dim=1, eps=_SHORTEST)

    def items(self, ids: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors (n, t) from id embeddings (n, t) and features (n, width)."""
        hidden = self.item_layer(torch.cat([ids, inputs], dim=1))
        return functional.normalize(ids + self.mix * hidden, dim=1, eps=_SHORTEST)
