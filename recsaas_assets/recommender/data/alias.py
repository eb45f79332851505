"""Draws from a fixed discrete distribution in constant time per draw (alias method; Vose 1991)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resources.base.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class AliasTable:
    """``stay`` (n,) float32: the chance that place i answers i; otherwise it answers ``other`` (n,) int32."""

    stay: npt.NDArray[np.float32]
    other: npt.NDArray[np.int32]

    @classmethod
    def of(cls, mass: npt.NDArray[np.float64]) -> "AliasTable":
        """Build from unnormalised probabilities of shape (n,), in O(n).

        Raises:
            InvalidInput: there is no place, or a mass is not a positive number.
        """
        n = len(mass)
        if n == 0 or not np.all(np.isfinite(mass) & (mass > 0)):
            raise InvalidInput("An alias table needs at least one place, and a positive mass for each.")
        stay = (mass * (n / mass.sum())).tolist()
        other = list(range(n))
        small = [place for place in range(n) if stay[place] < 1]
        large = [place for place in range(n) if stay[place] >= 1]
        while small and large:
            poor, rich = small.pop(), large[-1]
            other[poor] = rich
            stay[rich] -= 1 - stay[poor]
            if stay[rich] < 1:
                small.append(large.pop())
        for place in (*small, *large):  # 1 but for rounding
            stay[place] = 1.0
        return cls(np.array(stay, np.float32), np.array(other, np.int32))

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Places with replacement, shape (count,)."""
        places = rng.integers(len(self.stay), size=count, dtype=np.int32)
        leave = rng.random(count, dtype=np.float32) >= self.stay.take(places)
        return np.where(leave, self.other.take(places), places)
