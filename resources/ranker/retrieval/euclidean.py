"""Inner products by distances: with one more coordinate the nearest vector is the one with the greatest product.

An item x becomes (x, √(R² − |x|²)), R being the greatest norm, and a query q becomes (q, 0): their distance squared is
|q|² + R² − 2·q·x. (Bachrach et al., 2014, doi:10.1145/2645710.2645741.) What partitions or links vectors by distance
then works for products, in which a long vector is near to everything and no vector is nearest to itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Neighbours = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Products `(1, k)` and rows `(1, k)`, as FAISS returns them."""

_WIDER = 4


def as_euclidean(vectors: Vectors) -> Vectors:
    """Return item vectors `(n, d)` with the coordinate that makes them equally long, `(n, d + 1)`."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    rest = np.sqrt(np.maximum(squares.max(initial=0.0) - squares, 0.0))
    return np.ascontiguousarray(np.column_stack([vectors, rest]), dtype=np.float32)


def as_query(queries: Vectors) -> Vectors:
    """Return queries `(n, d)` as `(n, d + 1)`."""
    return np.ascontiguousarray(np.column_stack([queries, np.zeros(len(queries))]), dtype=np.float32)


class EuclideanIndex:
    """Inverted lists over Euclidean vectors, asked for inner products. Safe to share between threads.

    Args:
        index: FAISS's `IndexIVF`.
        vectors: `(n_items, d)`, the item vectors.

    Attributes:
        probes: how many lists a search looks into, as was chosen when the index was built.
    """

    def __init__(self, index: Any, vectors: Vectors) -> None:
        self._index = index
        self._vectors = vectors
        self.probes = int(index.nprobe)
        self._lists = int(index.nlist)

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """Return the products `(1, k)`, falling, and the rows of one query `(1, d)`; without a row: −inf and −1."""
        return self._products(queries, self._index.search(as_query(queries), k)[1][0])

    def search_among(self, query: Vectors, k: int, allowed: NDArray[np.bool_], share: float) -> Neighbours:
        """Search the rows of a mask `(n_items,)`, of which about `share` are allowed, for `k` near to a query `(d,)`.

        It looks into probes / share³ lists: as many allowed vectors are expected in probes / share of them as a search
        without a mask meets, and the fewer pass, the farther they may be from what the user likes (a category that is
        not the user's). It looks into more as long as there are too few, in the end into all.
        """
        import faiss

        # FAISS's Python classes take arrays and keywords, of which its types know nothing.
        selector_of: Any = faiss.IDSelectorBitmap
        parameters_of: Any = faiss.SearchParametersIVF
        selector = selector_of(np.packbits(allowed, bitorder="little"))
        probes = min(self._lists, int(self.probes / max(share, 1e-3) ** 3) + 1)
        while True:
            parameters = parameters_of(sel=selector, nprobe=probes)
            labels = self._index.search(as_query(query[None, :]), k, params=parameters)[1][0]
            if labels[-1] >= 0 or probes >= self._lists:
                return self._products(query[None, :], labels)
            probes = min(self._lists, probes * _WIDER)

    def _products(self, queries: Vectors, labels: NDArray[np.int64]) -> Neighbours:
        products = np.where(labels >= 0, self._vectors[labels] @ queries[0], np.float32(-np.inf))
        order = np.argsort(-products, kind="stable")
        return products[order][None, :], labels[order][None, :]
