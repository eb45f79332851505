"""How surely two items are in one basket more often than chance has it, and whether they are alternatives."""

from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.data.arrays import Mask, Values

LEAST_TOGETHER = 3
"""Joint baskets below which a pair says nothing, whatever the ratio."""
LEAST_RATIO = 10.83
"""Log-likelihood ratio that chance reaches once in a thousand pairs (χ² with one degree of freedom)."""
_FEWER = 1.645
"""Standard deviations below the expected: what chance reaches once in twenty pairs."""


def log_likelihood_ratio(together: Values, first: Values, second: Values, baskets: float) -> Values:
    """Dunning's G² (1993, "Accurate methods for the statistics of surprise and coincidence") of pairs of items.

    It says how badly independence explains how often both are in one basket; other than the lift alone, it is small for
    pairs that have been seen a few times only.

    Args:
        together, first, second: (n,) numbers of baskets with both items, with the first, with the second.
        baskets: how many there are.
    """
    only_first, only_second = first - together, second - together
    neither = baskets - first - second + together
    cells = _entropy(together) + _entropy(only_first) + _entropy(only_second) + _entropy(neither)
    margins = _entropy(first) + _entropy(baskets - first) + _entropy(second) + _entropy(baskets - second)
    total = _entropy(np.array([baskets], dtype=np.float64))
    return np.maximum(2 * (cells + total - margins), 0)


def are_associated(together: Values, first: Values, second: Values, baskets: float) -> Mask:
    """Tell which pairs, (n,), are in one basket surely more often than chance has it: lift above 1, significant."""
    lifted = together * baskets > first * second
    sure = log_likelihood_ratio(together, first, second, baskets) >= LEAST_RATIO
    return lifted & sure & (together >= LEAST_TOGETHER)


def are_alternatives(looked_at: Values, bought: Values, first: Values, second: Values) -> Mask:
    """Tell which pairs, (n,), are substitutes: who looks at both takes one.

    If the items had nothing to do with each other, of the visits that look at both the share first · second would take
    both. Substitutes are taken together surely less often than that, complements more often. This compares with those
    who looked at both, so two lamps that both please the same people are not taken for complements because of that.

    Args:
        looked_at: visits that did anything with both.
        bought: visits that took both.
        first, second: of the visits that look at the item, the share that takes it.
    """
    expected = looked_at * first * second
    return bought < expected - _FEWER * np.sqrt(expected)


def _entropy(counts: Values) -> Values:
    return counts * np.log(np.where(counts > 0, counts, 1))
