"""LightGCN as published: Bayesian personalised ranking in minibatches (He et al. 2020, eq. 15; Rendle et al. 2009).

For a batch B of pairs (u, i), each with one item j that u does not have, drawn uniformly, and final embeddings e:

    loss = 1/|B| Σ_B ln(1 + exp(-e_u·(e_i - e_j)))  +  λ/2|B| Σ_B |e⁰_u|² + |e⁰_i|² + |e⁰_j|²

Propagation runs over the whole graph in every step. The gradient is written out, as for the sampled softmax.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import softplus

from recsaas_assets.recommender.data.negatives import UserNegatives
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import edge_weights
from recsaas_assets.recommender.lightgcn.objective import LossGradient, Poll, Step
from resources.tenants.model_configs import LightGCNConfig


class Bpr:
    """The objective over a fixed set of pairs; a pair's positive weight, scaled to mean 1, multiplies its term.

    Every epoch passes over all pairs in a new order. Users who have every item are left out: nothing ranks below.
    """

    def __init__(
        self, pairs: Pairs, n_users: int, n_items: int, config: LightGCNConfig, *, device: str = "cpu"
    ) -> None:
        self._negatives = UserNegatives.of(pairs, n_users, n_items)
        self._pairs = pairs.of_users(~self._negatives.exhausted)
        weights = edge_weights(self._pairs, config.positive_weight, config.half_life_days)
        self._weights = weights / weights.mean() if len(weights) else weights
        self._batch_size = config.batch_size
        self._l2 = config.l2
        self._device = device

    def epoch(self, generator: torch.Generator, poll: Poll) -> Iterator[Step]:
        """Minibatches in random order, each with fresh negatives."""
        order = torch.randperm(len(self._pairs), generator=generator).numpy()
        seed = int(torch.randint(2**62, (), generator=generator))
        drawn = self._negatives.draw(self._pairs.user_row[order], 1, np.random.default_rng(seed))[:, 0]
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            poll()
            yield partial(
                self.loss_and_gradient,
                user_rows=self._tensor(self._pairs.user_row[places]),
                positive_rows=self._tensor(self._pairs.item_row[places]),
                negative_rows=self._tensor(drawn[start : start + self._batch_size]),
                weights=torch.from_numpy(self._weights[places]).to(self._device),
            )

    def loss_and_gradient(
        self,
        users: torch.Tensor,
        items: torch.Tensor,
        *,
        user_rows: torch.Tensor,
        positive_rows: torch.Tensor,
        negative_rows: torch.Tensor,
        weights: torch.Tensor,
    ) -> LossGradient:
        """Loss and gradient of one batch of triples, all of shape (b,), rows int64."""
        chosen = users[user_rows]
        difference = items[positive_rows] - items[negative_rows]
        margins = (chosen * difference).sum(dim=1)
        size = len(user_rows)
        slope = (-torch.sigmoid(-margins) * weights / size)[:, None]
        toward_user = slope * chosen
        share = torch.full_like(margins, self._l2 / size)
        return LossGradient(
            loss=float((softplus(-margins) * weights).mean()),
            users=torch.zeros_like(users).index_add_(0, user_rows, slope * difference),
            items=torch.zeros_like(items)
            .index_add_(0, positive_rows, toward_user)
            .index_add_(0, negative_rows, toward_user, alpha=-1),
            decay_users=margins.new_zeros(len(users)).index_add_(0, user_rows, share),
            decay_items=margins.new_zeros(len(items))
            .index_add_(0, positive_rows, share)
            .index_add_(0, negative_rows, share),
        )

    def _tensor(self, rows: npt.NDArray[np.int32]) -> torch.Tensor:
        return torch.from_numpy(rows.astype(np.int64)).to(self._device)
