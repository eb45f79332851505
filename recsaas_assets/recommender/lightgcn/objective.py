"""The objective of the trainer: a loss of the final embeddings, in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

Poll = Callable[[], None]
"""Called often during long work; it raises when the work is to stop."""


@dataclass(frozen=True, eq=False)
class LossGradient:
    """A loss (mean per unit of weight) and its gradient, up to one factor, by final user and item embeddings.

    ``decay_users`` (n_users,) and ``decay_items`` (n_items,), if any, add ½ Σ decay · |E0|² to the loss: the squared
    lengths of the embeddings before propagation, which an objective does not see.
    """

    loss: float
    users: torch.Tensor
    items: torch.Tensor
    decay_users: torch.Tensor | None = None
    decay_items: torch.Tensor | None = None


class Step(Protocol):
    """One optimiser step's loss."""

    def __call__(self, users: torch.Tensor, items: torch.Tensor) -> LossGradient:
        """At final embeddings (n_users, d), (n_items, d)."""
        ...


class Objective(Protocol):
    """A loss over a fixed set of pairs."""

    def epoch(self, generator: torch.Generator, poll: Poll) -> Iterator[Step]:
        """The steps that see every pair once; all randomness comes from ``generator``, a CPU one.

        Each step calls ``poll`` at least every few tenths of a second.
        """
        ...
