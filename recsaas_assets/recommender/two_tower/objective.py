"""Sampled softmax with logQ correction, for blocks of users whose history is partly hidden.

In a step each pair of a user is a target with the probability `target_share`; the tower sees the others as history, so
that no target is among what it is predicted from. With targets T, negatives J drawn with probabilities q, and unit
vectors û, î:

    s_uj = û·ĵ/τ + γ·log(users of j)
    loss = Σ_{u,i in T} w_ui ( log Σ_{j in J} exp(s_uj - log q_j)  -  s_ui )

Taking off log q corrects for a sample that is not uniform (Yi et al. 2019): the sum over J stands for the sum over all
items. The draw is shared by the users of a step; the positive is not in the denominator, as in `sampled_softmax.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import edge_weights
from recsaas_assets.recommender.lightgcn.sampled_softmax import NegativeSampler
from recsaas_assets.recommender.two_tower.towers import History, Towers
from resources.tenants.model_configs import TwoTowerConfig


@dataclass(frozen=True, eq=False)
class Block:
    """The pairs of some users: all of shape (n_pairs,), sorted by ``owner``, which counts within the block."""

    users: torch.Tensor
    owner: torch.Tensor
    items: torch.Tensor
    weights: torch.Tensor


class PairBlocks:
    """The pairs of a fit, by user."""

    def __init__(self, pairs: Pairs, n_users: int, config: TwoTowerConfig) -> None:
        self._counts = pairs.items_per_user(n_users)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self._items = torch.from_numpy(pairs.item_row.astype(np.int64))
        self._weights = torch.from_numpy(edge_weights(pairs, config.positive_weight, config.half_life_days))

    @property
    def active(self) -> npt.NDArray[np.int64]:
        """Rows of the users with pairs."""
        return np.flatnonzero(self._counts)

    def of(self, users: npt.NDArray[np.int64]) -> Block:
        """The pairs of ``users`` (n,)."""
        counts = self._counts[users]
        owner = np.repeat(np.arange(len(users)), counts)
        first = np.cumsum(counts) - counts
        places = torch.from_numpy(np.arange(len(owner)) + np.repeat(self._starts[users] - first, counts))
        return Block(torch.from_numpy(users), torch.from_numpy(owner), self._items[places], self._weights[places])


class TwoTowerObjective:
    """The loss over a fixed set of pairs and features."""

    def __init__(
        self,
        pairs: Pairs,
        n_items: int,
        config: TwoTowerConfig,
        *,
        user_inputs: torch.Tensor,
        item_inputs: torch.Tensor,
    ) -> None:
        self._config = config
        self._user_inputs, self._item_inputs = user_inputs, item_inputs
        self._sampler = NegativeSampler(pairs, n_items, config.negative_exponent)
        degrees = np.log(np.maximum(pairs.users_per_item(n_items), 1)).astype(np.float32)
        self._prior = torch.from_numpy(degrees * config.popularity_prior)
        self._log_q = torch.from_numpy(degrees * config.negative_exponent)
        self._log_q -= torch.logsumexp(self._log_q[torch.from_numpy(pairs.users_per_item(n_items) > 0)], dim=0)

    def loss(self, towers: Towers, block: Block, generator: torch.Generator) -> torch.Tensor | None:
        """Mean loss per unit of weight; None when the draw leaves no target of any weight."""
        config = self._config
        target = torch.rand(len(block.items), generator=generator) < config.target_share
        owner, items, weights = block.owner[target], block.items[target], block.weights[target]
        negatives = self._sampler.draw(config.negatives, generator)
        if not weights.any():
            return None
        history = History.of(block.owner[~target], block.items[~target], block.weights[~target], len(block.users))
        users = towers.users(
            _hidden(towers.user_ids[block.users], self._user_inputs, config.id_dropout, generator),
            history,
            self._user_inputs[block.users],
        )
        rows, places = torch.unique(torch.cat([items, negatives]), return_inverse=True)
        vectors = towers.items(
            _hidden(towers.item_ids[rows], self._item_inputs, config.id_dropout, generator), self._item_inputs[rows]
        )
        of_targets, of_negatives = places[: len(items)], places[len(items) :]
        scale = weights.new_zeros(len(block.users)).index_add_(0, owner, weights)
        per_user = scale.clamp_min(1e-12).pow(config.user_exponent - 1)
        weights = weights * per_user[owner]
        positive = (users[owner] * vectors[of_targets]).sum(dim=1) / config.temperature + self._prior[items]
        offset = self._prior[negatives] - self._log_q[negatives] - np.log(config.negatives)
        logits = users @ vectors[of_negatives].T / config.temperature + offset
        total = (scale * per_user * torch.logsumexp(logits, dim=1)).sum() - (weights * positive).sum()
        return total / weights.sum()


def shuffled_blocks(
    active: npt.NDArray[np.int64], size: int, generator: torch.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """The users ``active`` (n,) in a new order, ``size`` at a time."""
    order = active[torch.randperm(len(active), generator=generator).numpy()]
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _hidden(ids: torch.Tensor, inputs: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """The embeddings with some rows set to zero, where features can stand in for them."""
    if share == 0 or inputs.shape[1] == 0:
        return ids
    return ids * (torch.rand(len(ids), 1, generator=generator) >= share)
