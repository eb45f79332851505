"""Bootstrap intervals over users (Efron 1979), drawn once for everything that is measured on the same users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.data.arrays import Values

_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Resamples:
    """``n`` samples of ``n_users`` users with replacement, the same ones each time they are asked for.

    Because every column of values meets the same samples, the interval of a difference of two columns is paired.
    """

    n_users: int
    seed: int
    n: int = 1000

    def counts(self) -> Iterator[npt.NDArray[np.float32]]:
        """Number of times each user is in each sample, shape (samples, n_users), block by block."""
        rng = np.random.default_rng(self.seed)
        block = max(1, _DRAWS_AT_ONCE // max(self.n_users, 1))
        for start in range(0, self.n, block):
            samples = min(block, self.n - start)
            drawn = rng.integers(0, self.n_users, (samples, self.n_users), dtype=np.int32)
            places = drawn + np.arange(samples, dtype=np.int64)[:, None] * self.n_users
            counted = np.bincount(places.ravel(), minlength=samples * self.n_users)
            yield counted.reshape(samples, self.n_users).astype(np.float32)

    def intervals(self, values: Values, level: float | Values = 0.95) -> Values:
        """Percentile intervals of the means of the columns of ``values`` (n_users, m), shape (m, 2).

        ``level`` is one for all columns or one for each, shape (m,). Zeros without any user.
        """
        if self.n_users == 0 or values.shape[1] == 0:
            return np.zeros((values.shape[1], 2))
        single = values.astype(np.float32)  # half the memory traffic; the error is far below the bootstrap's own
        means = np.concatenate([counts @ single for counts in self.counts()]).astype(np.float64) / self.n_users
        levels = np.broadcast_to(np.asarray(level, dtype=np.float64), values.shape[1:])
        tails = (1 - levels) / 2
        return np.array(
            [np.quantile(column, [tail, 1 - tail]) for column, tail in zip(means.T, tails, strict=True)], np.float64
        )
