"""The k best item rows for a query vector: exact among the items allowed, the same one by one and in a batch.

FAISS or a matrix product proposes candidates in float32, whose last digits depend on how many rows are multiplied at
once. The candidates are then scored in float64, each by itself, and ordered by score and, where equal, by row. So an
answer does not depend on the path that found it, and items that tie always come in the same order.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.ranker.retrieval.euclidean import EuclideanIndex

_MARGIN = 16
_NEARLY_ALL, _ONE_OF_EIGHT = 0.8, 0.125
_FEW = 20_000
"""So many rows are looked at one by one in about a millisecond."""
_BLOCK = 65_536
_EPSILON = float(np.finfo(np.float32).eps)

Found = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Item rows `(n,)`, best first, and their products `(n,)`."""


class VectorSearch:
    """Search over the item vectors of one release.

    Attributes:
        vectors: `(n_items, dim)`.
        norms: `(n_items,)` float64.
        typical_norm: root mean square of the norms above 0; 0.0 when there are none.
    """

    def __init__(self, vectors: NDArray[np.float32], index: Any = None) -> None:
        self.vectors = vectors
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        self.norms: NDArray[np.float64] = np.sqrt(squares)
        present = squares[squares > 0]
        self.typical_norm = float(np.sqrt(present.mean())) if present.size else 0.0
        self._largest_norm = float(self.norms.max(initial=0.0))
        self._index = index

    def top(
        self,
        query: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.bool_],
        *,
        allowed_before: int,
        removed: int,
    ) -> Found:
        """Return the `k` allowed rows with the greatest products with `query` `(dim,)`; fewer when fewer are allowed.

        Of the mask `allowed` `(n_items,)`, `allowed_before` rows passed the filter, and at most `removed` of them
        were then taken out of `allowed`. From these the search knows how many neighbours to fetch. Where many
        neighbours would have to be fetched, or they turn out too few, the index is asked with the mask; where few
        rows are allowed, it looks at every one of them, which is then quicker. So it gives `k` rows whenever `k` are
        allowed.
        """
        if k <= 0 or allowed_before == 0:
            return _NOTHING
        n_items, index = len(self.vectors), self._index
        fetched = (k + removed) * n_items // allowed_before + _MARGIN
        # Where fewer pass, the best of them are in more lists than a search without a mask looks into.
        least_share = _NEARLY_ALL if isinstance(index, EuclideanIndex) else _ONE_OF_EIGHT
        if index is not None and allowed_before > least_share * n_items and fetched * 16 <= n_items:
            found = self._by_index(query, k, allowed, fetched)
            if found is not None:
                return found
        if isinstance(index, EuclideanIndex) and k * 16 <= allowed_before and allowed_before > _FEW:
            labels = index.search_among(query, k + _MARGIN, allowed, allowed_before / n_items)[1]
            rows = labels[0][labels[0] >= 0]  # FAISS pads with −1
            if len(rows) >= k:
                return self._ordered(query, k, rows)
        return self.exact(query, k, allowed)

    def exact(self, query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_]) -> Found:
        """Return the `k` best rows of a mask `(n_items,)` for a query `(dim,)`, by looking at all of them."""
        if np.count_nonzero(allowed) * 4 < len(allowed):
            return self.exact_among(query, k, np.flatnonzero(allowed))
        products = self.vectors @ query
        products[~allowed] = -np.inf
        return self.exact_from_products(query, k, products)

    def exact_among(self, query: NDArray[np.float32], k: int, rows: NDArray[np.integer]) -> Found:
        """Return the `k` of `rows` `(n,)` with the greatest inner product with `query` `(dim,)`."""
        return self._ordered(query, k, _contenders(rows, self.vectors[rows] @ query, k, self._slack(query)))

    def exact_cosine(self, row: int, k: int, allowed: NDArray[np.bool_]) -> Found:
        """Return the `k` rows of a mask `(n_items,)`, all with a vector, with the greatest cosine to item `row`."""
        if np.count_nonzero(allowed) * 4 < len(allowed):
            return self.exact_cosine_among(row, k, np.flatnonzero(allowed))
        rows = np.flatnonzero(allowed)
        return self._by_cosine(row, k, rows, (self.vectors @ self.vectors[row])[rows])

    def exact_cosine_among(self, row: int, k: int, rows: NDArray[np.integer]) -> Found:
        """Return the `k` of `rows` `(n,)`, each with a vector, with the greatest cosine to item `row`."""
        return self._by_cosine(row, k, rows, self.vectors[rows] @ self.vectors[row])

    def _by_cosine(self, row: int, k: int, rows: NDArray[np.integer], products: NDArray[np.float32]) -> Found:
        query = self.vectors[row]
        rows = _contenders(rows, products / (self.norms[rows] * self.norms[row]), k, _relative_error(len(query)))
        cosines = self._products(query, rows) / (self.norms[rows] * self.norms[row])
        order = np.lexsort((rows, -cosines))[:k]
        return rows[order].astype(np.int32), cosines[order]

    def exact_from_products(self, query: NDArray[np.float32], k: int, products: NDArray[np.float32]) -> Found:
        """Return the `k` best rows of `products` `(n_items,)`, made in a batch; −inf marks a row not allowed."""
        cut = -np.inf if k >= len(products) else np.partition(products, len(products) - k)[len(products) - k]
        near = products >= cut - self._slack(query) if cut > -np.inf else products > -np.inf
        return self._ordered(query, k, near.nonzero()[0])

    def _by_index(self, query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_], fetched: int) -> Found | None:
        """Ask the index; `None` when it gives fewer than `k` allowed rows, or they tie with what it cut off."""
        products, labels = (answer[0] for answer in self._index.search(query[None, :], fetched))
        if labels[-1] < 0:  # FAISS pads with −1
            products, labels = products[labels >= 0], labels[labels >= 0]
        kept = allowed[labels]
        rows = labels[kept]
        if len(rows) < k or products[kept][k - 1] - self._slack(query) <= products[-1]:
            return None
        return self._ordered(query, k, rows)

    def _ordered(self, query: NDArray[np.float32], k: int, rows: NDArray[np.integer]) -> Found:
        products = self._products(query, rows)
        order = np.lexsort((rows, -products))[:k]
        return rows[order].astype(np.int32), products[order]

    def _products(self, query: NDArray[np.float32], rows: NDArray[np.integer]) -> NDArray[np.float64]:
        # numpy sums a row in the same order however many rows there are, which a matrix product does not.
        if len(rows) <= _BLOCK:
            return np.asarray((self.vectors[rows].astype(np.float64) * query).sum(axis=1))
        return np.concatenate(
            [
                np.asarray((self.vectors[rows[start : start + _BLOCK]].astype(np.float64) * query).sum(axis=1))
                for start in range(0, len(rows), _BLOCK)
            ]
        )

    def _slack(self, query: NDArray[np.float32]) -> float:
        """Twice the error bound of a float32 product: two products closer than this may be in either order."""
        return _relative_error(len(query)) * length(query) * self._largest_norm


def _contenders(
    rows: NDArray[np.integer], products: NDArray[np.floating[Any]], k: int, slack: float
) -> NDArray[np.integer]:
    """Return the rows that may be among the `k` best when a product may be off by half the slack."""
    if len(rows) <= k:
        return rows
    cut = np.partition(products, len(rows) - k)[len(rows) - k]
    near: NDArray[np.integer] = rows[products >= cut - slack]
    return near


def _relative_error(dim: int) -> float:
    return 2 * dim * _EPSILON


def length(vector: NDArray[np.float32]) -> float:
    """Return the Euclidean norm of a vector `(dim,)`; for a short one several times as quick as `np.linalg.norm`."""
    return sqrt(vector.dot(vector))


_NOTHING: Found = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float64))
