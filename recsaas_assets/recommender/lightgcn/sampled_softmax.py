"""Decoupled sampled softmax over cosines, with its gradient written out.

With unit vectors û, î, positive weights p_ui scaled to user weights c_u = Σ_i p_ui, and a shared draw J of negatives:

    loss = - 1/τ Σ_ui p_ui û·î  +  Σ_u c_u log Σ_{j in J} exp(û·ĵ / τ)

"Decoupled" (Yeh et al. 2022): the positive is not in the denominator, so the logarithm is computed once per user and
the positive part of the gradient is two constant sparse products.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import (
    Bipartite,
    bipartite,
    edge_weights,
    to_csr,
)
from recsaas_assets.recommender.lightgcn.objective import LossGradient, Poll, Step
from recsaas_assets.recommender.lightgcn.propagation import normalise, normalise_backward
from recsaas_assets.recommender.lightgcn.user_share import UserShare, everybody
from resources.tenants.model_configs import LightGCNConfig


class NegativeSampler:
    """Draws item rows with probability ∝ degree^exponent; items without users are never drawn."""

    def __init__(self, pairs: Pairs, n_items: int, exponent: float) -> None:
        degrees = pairs.users_per_item(n_items).astype(np.float64)
        mass = np.where(degrees > 0, np.power(np.maximum(degrees, 1), exponent), 0.0)
        self._rows = torch.from_numpy(np.flatnonzero(mass))
        cumulative = np.cumsum(mass[mass > 0])
        self._cumulative = torch.from_numpy((cumulative / cumulative[-1]).astype(np.float32))

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Item rows, int64, shape (count,), with replacement."""
        places = torch.searchsorted(self._cumulative, torch.rand(count, generator=generator), right=True)
        return self._rows[places.clamp_max_(len(self._rows) - 1)]


class SampledSoftmax:
    """The objective over a fixed set of pairs."""

    def __init__(
        self,
        pairs: Pairs,
        n_users: int,
        n_items: int,
        config: LightGCNConfig,
        *,
        device: str = "cpu",
        share: UserShare | None = None,
    ) -> None:
        self._share = share = share or everybody(n_users)
        self._n_users = n_users
        weights = edge_weights(pairs, config.positive_weight, config.half_life_days)
        totals = np.bincount(pairs.user_row, weights=weights, minlength=n_users)
        scale = np.power(np.maximum(totals, 1e-12), config.user_exponent - 1)
        values = (weights * scale[pairs.user_row]).astype(np.float32)
        self._positives: Bipartite = bipartite(to_csr(pairs, values, n_users, n_items)[share.rows], device=device)
        user_weight = np.bincount(pairs.user_row, weights=values, minlength=n_users).astype(np.float32)
        self._user_weight = torch.from_numpy(user_weight[share.rows]).to(device)
        self._total_weight = float(user_weight.sum())
        self._sampler = NegativeSampler(pairs, n_items, config.negative_exponent)
        self._temperature = config.temperature
        self._negatives = config.negatives
        self._user_block = config.user_block

    def epoch(self, generator: torch.Generator, poll: Poll) -> Iterator[Step]:
        """One step over all pairs."""
        yield partial(self.loss_and_gradient, generator=generator, poll=poll)

    def loss_and_gradient(
        self, users: torch.Tensor, items: torch.Tensor, generator: torch.Generator, poll: Poll = lambda: None
    ) -> LossGradient:
        """Loss and gradient at final embeddings (n_users, d), (n_items, d), with fresh negatives per block of users.

        ``poll`` is called before each block.
        """
        tau = self._temperature
        unit_users, user_lengths = normalise(users)
        unit_items, item_lengths = normalise(items)
        user_gradient = (self._positives.user_item @ unit_items).mul_(-1 / tau)
        item_gradient = (self._positives.item_user @ unit_users).mul_(-1 / tau)
        loss = float((unit_users * user_gradient).sum())
        for start in range(0, self._n_users, self._user_block):
            poll()
            # Also for a block that another process holds: all of them draw the same for the same users.
            drawn = self._sampler.draw(self._negatives, generator).to(items.device)
            block = self._share.local(start, start + self._user_block)
            if block.start == block.stop:
                continue
            weight = self._user_weight[block, None]
            negatives = unit_items[drawn]
            # cos - 1 ≤ 0: the exponentials cannot overflow, and the shift cancels in the gradient.
            terms = (unit_users[block] @ negatives.T).sub_(1).div_(tau).exp_()
            sums = terms.sum(dim=1, keepdim=True)
            loss += float((weight * (sums.log() + 1 / tau)).sum())
            share = weight / (sums * tau)
            user_gradient[block].add_((terms @ negatives).mul_(share))
            item_gradient.index_add_(0, drawn, terms.T @ (unit_users[block] * share))
        (loss,) = self._share.total(loss)
        return LossGradient(
            loss=loss / self._total_weight,
            users=normalise_backward(unit_users, user_lengths, user_gradient),
            items=normalise_backward(unit_items, item_lengths, self._share.summed(item_gradient)),
        )
