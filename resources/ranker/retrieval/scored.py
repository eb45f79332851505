"""The best of all items when each has its score: what a model gives that is no inner product, such as an item table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resources.ranker.retrieval.search import Found

_CHUNK = 64


class ScoredItems:
    """One request's scores of all items. Equal scores go to the item of the lower row, as they do in the evaluation.

    Attributes:
        scores: `(n_items,)` float32; an item with −inf is never given.
    """

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores

    def top(self, k: int, allowed: NDArray[np.bool_]) -> Found:
        """Return the `k` best rows of a mask `(n_items,)` with their scores; fewer when fewer are allowed."""
        return _best(np.where(allowed, self.scores, np.float32(-np.inf)), k)

    def among(self, k: int, rows: NDArray[np.int32]) -> Found:
        """Return the `k` of `rows` `(n,)` with the greatest scores."""
        ascending = np.sort(rows)
        places, scores = _best(self.scores[ascending], k)
        return ascending[places], scores


def _best(scores: NDArray[np.float32], k: int) -> Found:
    """Return the places of the `k` greatest scores, and these.

    The k-th greatest maximum of chunks has k scores at or above it, so only what is above it is put in order. A
    partition of the whole would be slow where most scores are equal, which those of a short history are.
    """
    whole = len(scores) // _CHUNK * _CHUNK
    chunks = scores[:whole].reshape(_CHUNK, -1).max(axis=0)  # every so many scores: several times as quick as in a row
    floor = np.partition(chunks, len(chunks) - k)[len(chunks) - k] if 0 < k < len(chunks) else -np.inf
    places = np.flatnonzero(scores > floor)
    if len(places) < k and floor > -np.inf:
        places = np.concatenate([places, np.flatnonzero(scores == floor)[: k - len(places)]])
    order = np.lexsort((places, -scores[places]))[:k]
    places = places[order]
    return places.astype(np.int32), scores[places].astype(np.float64)
