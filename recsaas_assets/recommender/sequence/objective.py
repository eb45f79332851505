"""Sampled softmax with logQ correction over the places of sequences.

For the unit vector h after a place, its target i, negatives J drawn with probabilities q, and unit vectors ê:

    s_j = h·ê_j/τ + γ·log(users of j)        loss = log Σ_{j in J} exp(s_j - log q_j) - s_i

as for the two towers (`two_tower/objective.py`; Yi et al. 2019). SASRec's own loss sets one negative against each
positive and is overconfident for it (gSASRec, Petrov and Macdonald 2023); a softmax over many is not, and one draw
serves all places of a step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.sampled_softmax import NegativeSampler
from recsaas_assets.recommender.sequence.encoder import Transformer
from recsaas_assets.recommender.sequence.histories import WindowBatch
from resources.release.sequence_encoder import SHORTEST
from resources.tenants.model_configs import SequenceConfig


class SequenceObjective:
    """The loss over a fixed set of pairs."""

    def __init__(self, pairs: Pairs, n_items: int, config: SequenceConfig) -> None:
        self._config = config
        self._sampler = NegativeSampler(pairs, n_items, config.negative_exponent)
        degrees = np.log(np.maximum(pairs.users_per_item(n_items), 1)).astype(np.float32)
        self._prior = torch.from_numpy(degrees * config.popularity_prior)
        self._log_q = torch.from_numpy(degrees * config.negative_exponent)
        self._log_q -= torch.logsumexp(self._log_q[torch.from_numpy(pairs.users_per_item(n_items) > 0)], dim=0)

    def loss(
        self, embeddings: torch.Tensor, transformer: Transformer, batch: WindowBatch, generator: torch.Generator
    ) -> torch.Tensor | None:
        """Mean loss per unit of weight for item embeddings (n_items, t); None when no target has any weight."""
        config = self._config
        negatives = self._sampler.draw(config.negatives, generator)
        if not batch.weights.any():
            return None
        items = unit_vectors(embeddings)
        states = transformer.states(
            read(items, batch.items), config.history_weight, dropout=config.dropout, generator=generator
        )[batch.owner, batch.place]
        positive = (states * items[batch.targets]).sum(dim=1) / config.temperature + self._prior[batch.targets]
        offset = self._prior[negatives] - self._log_q[negatives] - np.log(config.negatives)
        logits = states @ items[negatives].T / config.temperature + offset
        losses = torch.logsumexp(logits, dim=1) - positive
        return (batch.weights * losses).sum() / batch.weights.sum()


def unit_vectors(embeddings: torch.Tensor) -> torch.Tensor:
    """Embeddings (n, t) at length 1."""
    return functional.normalize(embeddings, dim=1, eps=SHORTEST)


def read(vectors: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """The vectors (…, t) of item rows of any shape; zeros for the row behind the last one."""
    with_padding = torch.cat([vectors, vectors.new_zeros(1, vectors.shape[1])])
    return with_padding[items]
