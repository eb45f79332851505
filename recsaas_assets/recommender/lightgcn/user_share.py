"""The users that one of several training processes holds, and the sums over all processes.

Each process holds a block of user rows: their embeddings, their optimiser state and their part of the graph. Items are
in all of them. With R_p the rows of process p, a product with the graph needs no exchange in one direction, and one sum
of n_items × d numbers in the other:

    (N·I)_{R_p} = N_{R_p}·I         Nᵀ·U = Σ_p N_{R_p}ᵀ·U_{R_p}

so that every process takes the same step for the items, and the result is that of one process but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import Bipartite, Product, bipartite


@dataclass(frozen=True, slots=True)
class UserShare:
    """User rows ``first`` ≤ row < ``last`` of one of ``processes`` processes."""

    first: int
    last: int
    processes: int

    @property
    def rows(self) -> slice:
        """The rows, as an index into arrays of all users."""
        return slice(self.first, self.last)

    def local(self, start: int, stop: int) -> slice:
        """The slice of the rows held here with ``start`` ≤ row < ``stop`` among all users; may be empty."""
        return slice(
            min(max(start, self.first), self.last) - self.first, max(min(stop, self.last), self.first) - self.first
        )

    def pairs(self, pairs: Pairs) -> Pairs:
        """The pairs of these users, with rows counted from the first of them."""
        low, high = np.searchsorted(pairs.user_row, [self.first, self.last])
        mine = slice(low, high)
        shifted = pairs.user_row[mine] - np.int32(self.first)
        return Pairs(shifted, pairs.item_row[mine], pairs.weight[mine], pairs.age_days[mine])

    def bipartite(self, matrix: sparse.csr_array, *, device: str = "cpu") -> Bipartite:
        """The part of ``matrix`` (n_users, n_items) held here; products over users are summed over the processes."""
        part = bipartite(matrix[self.rows], device=device)
        return part if self.processes == 1 else Bipartite(part.user_item, _Summed(part.item_user, self))

    def summed(self, tensor: torch.Tensor) -> torch.Tensor:
        """``tensor`` (of any shape), overwritten by its sum over the processes: bit for bit the same in all of them."""
        if self.processes > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def total(self, *numbers: float) -> list[float]:
        """Each number's sum over the processes."""
        sums: list[float] = self.summed(torch.tensor(numbers, dtype=torch.float64)).tolist()
        return sums


def everybody(n_users: int) -> UserShare:
    """The share of a process that trains alone."""
    return UserShare(0, n_users, 1)


def shares(pairs: Pairs, n_users: int, processes: int) -> list[UserShare]:
    """Consecutive blocks of users, of about as many users and pairs each: both cost time and memory."""
    cost = 1.0 / max(n_users, 1) + pairs.items_per_user(n_users) / max(len(pairs), 1)
    passed = np.concatenate([[0.0], np.cumsum(cost)])
    ends = [int(np.searchsorted(passed, passed[-1] * part / processes)) for part in range(1, processes)]
    bounds = [0, *ends, n_users]
    return [UserShare(first, last, processes) for first, last in pairwise(bounds)]


@dataclass(frozen=True, eq=False, slots=True)
class _Summed:
    """A sparse matrix of which each process holds some columns."""

    part: Product
    share: UserShare

    def __matmul__(self, dense: torch.Tensor, /) -> torch.Tensor:
        return self.share.summed(self.part @ dense)
