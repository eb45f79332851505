"""Variety in an answer: maximal marginal relevance (Carbonell and Goldstein, 1998, doi:10.1145/290941.291025)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POOL = 200
"""How many of the best items are put in another order; those behind them keep their places. The same for every page of
an answer, so that pages fit together."""


def marginal_relevance(
    relevance: NDArray[np.float64], vectors: NDArray[np.float32], diversity: float, count: int
) -> NDArray[np.int64]:
    """Choose `count` of n items, one after the other: the one with the greatest (1 − diversity)·r − diversity·s next.

    r is its relevance, scaled to 0–1 over the n items; s is its greatest cosine to an item chosen before, 0 for the
    first one and for an item without a vector. Equal values go to the item that comes first.

    Args:
        relevance: `(n,)`, falling.
        vectors: `(n, d)`; zeros for an item without one.
        diversity: 0 keeps the order, 1 looks at the vectors alone after the first item.

    Returns:
        `(min(count, n),)` positions.
    """
    n = len(relevance)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1.0)
    spread = float(relevance[0] - relevance[-1]) if n else 0.0
    worth = (1 - diversity) * ((relevance - relevance[-1]) / spread if spread > 0 else np.zeros(n))
    nearest = np.full(n, -np.inf)
    left = worth.copy()
    chosen = np.empty(min(count, n), dtype=np.int64)
    for place in range(len(chosen)):
        best = int(np.argmax(left))
        chosen[place] = best
        worth[best] = -np.inf
        np.maximum(nearest, unit @ unit[best], out=nearest)
        left = worth - diversity * nearest
    return chosen
