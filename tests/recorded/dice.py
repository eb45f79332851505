"""Seeded choices, made of `random.Random.random` alone: its sequence is the same in every version of Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A seeded source of choices."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        """Return a whole number of 0 … n − 1."""
        return int(self._random() * n)

    def chance(self, probability: float) -> bool:
        """Return whether something of this probability happens."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def some(self, options: Sequence[T], n: int) -> list[T]:
        """Return `n` different options, in any order; all when there are fewer."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(min(n, len(left)))]
