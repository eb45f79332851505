"""What is to be gained by leaving a reference for one of several candidates, when all of them are measured with noise.

The best of many measured differences is too good by luck. Under an empirical Bayes prior (Efron and Morris 1975: true
differences ~ N(0, spread²), the spread estimated from all candidates) each measured difference shrinks by as much as it
is likely to be luck, and what is left can be lost or won.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.data.arrays import Values

_INTERVAL = 1.959964  # 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Gain:
    """A candidate against the reference, as means over the same users.

    Attributes:
        measured: candidate − reference, and
        low, high: its 95 % interval, by the normal approximation.
        expected: what is left of it when luck is taken off.
        loss: expected loss, E[max(0, −gain)], of choosing the candidate.
    """

    measured: float
    low: float
    high: float
    expected: float
    loss: float

    @property
    def worth(self) -> float:
        """Expected gain less the expected loss; the reference has 0."""
        return self.expected - self.loss


def gains_over(reference: Values, others: Sequence[Values]) -> list[Gain]:
    """The gain of each of ``others`` over ``reference``; all (n,), n ≥ 2, over the same users."""
    measured = [_mean_and_error(each - reference) for each in others]
    spread = max(float(np.mean([mean**2 - error**2 for mean, error in measured])), 0.0) if measured else 0.0
    return [_gain(mean, error, spread) for mean, error in measured]


def _mean_and_error(difference: Values) -> tuple[float, float]:
    return float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(len(difference))


def _gain(mean: float, error: float, spread: float) -> Gain:
    total = spread + error**2
    kept = spread / total if total > 0 else 0.0
    expected, deviation = mean * kept, math.sqrt(kept) * error
    return Gain(mean, mean - _INTERVAL * error, mean + _INTERVAL * error, expected, _expected_loss(expected, deviation))


def _expected_loss(mean: float, deviation: float) -> float:
    """E[max(0, −X)] for X ~ N(mean, deviation²)."""
    if deviation == 0:
        return max(0.0, -mean)
    z = mean / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return deviation * density - mean * 0.5 * math.erfc(z / math.sqrt(2))
