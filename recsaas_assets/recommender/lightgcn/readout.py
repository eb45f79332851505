"""From final embeddings to the stored vectors, whose plain inner product is the score."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from recsaas_assets.recommender.baselines.popularity import recent_popularity
from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.propagation import normalise


class ReadoutConfig(Protocol):
    """The fields of a model's configuration that its readout reads."""

    @property
    def item_readout_exponent(self) -> float:
        """0 plain inner product, 1 cosine."""
        ...

    @property
    def popularity_weight(self) -> float:
        """β; 0: no popularity coordinate."""
        ...

    @property
    def popularity_half_life_days(self) -> float:
        """Age at which a pair counts half."""
        ...


@dataclass(frozen=True, eq=False)
class Readout:
    """User vectors are unit length; item vectors are I·|I|^-exponent, scaled to mean length 1 over learned items.

    With a popularity weight β one more coordinate is added: 1 for every user, β·log(1 + recent popularity) for an
    item. A user without any pair has zeros in the learned coordinates and so is ranked by recent popularity. Neither
    the user's length nor the common scale of the items changes a ranking; both make β mean the same everywhere.
    """

    exponent: float
    popularity: torch.Tensor | None
    learned_items: torch.Tensor

    @classmethod
    def of(cls, pairs: Pairs, n_items: int, config: ReadoutConfig) -> "Readout":
        """The readout of ``config`` for a model fitted on ``pairs``."""
        popularity = None
        if config.popularity_weight > 0:
            recent = recent_popularity(pairs, n_items, config.popularity_half_life_days)
            popularity = torch.from_numpy(np.log1p(recent) * np.float32(config.popularity_weight)).float()
        learned = torch.from_numpy(pairs.users_per_item(n_items) > 0)
        return cls(config.item_readout_exponent, popularity, learned)

    def __call__(self, users: torch.Tensor, items: torch.Tensor) -> tuple[Vectors, Vectors]:
        """Stored user vectors (n_users, d) and item vectors (n_items, d), float32."""
        unit_users, _ = normalise(users)
        unit_items, lengths = normalise(items)
        scaled = lengths.pow(1 - self.exponent)
        item_vectors = unit_items * (scaled / scaled[self.learned_items].mean())
        if self.popularity is None:
            return unit_users.numpy(), item_vectors.numpy()
        ones = torch.ones(len(users), 1)
        with_popularity = torch.cat([item_vectors, self.popularity[:, None]], dim=1)
        return torch.cat([unit_users, ones], dim=1).numpy(), with_popularity.numpy()
