"""An item–item model as a table: what an interaction with one item says for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import CorruptArtifact

TABLE_FILES = {
    "indptr": "item_table_indptr.npy",
    "items": "item_table_items.npy",
    "values": "item_table_values.npy",
    "prior": "item_table_prior.npy",
}
"""The file of a release for each array of its table: all of them or none."""

_FEW = 8
_NOISE = 1e-12
"""A variance below this share of the sum of squares is a rounding error."""


class TableEntries(NamedTuple):
    """Some rows of a table, one behind the other: `items` and `values` `(n,)`, and how many each row has, `(m,)`."""

    items: NDArray[np.int32]
    values: NDArray[np.float32]
    counts: NDArray[np.int64]

    def weighted(self, weights: NDArray[Any] | None) -> NDArray[Any]:
        """Return the values times the weights of their rows, `(m,)`; `None` is 1 each."""
        return self.values if weights is None else self.values * np.repeat(weights, self.counts)


@dataclass(frozen=True, slots=True, eq=False)
class ItemTable:
    """Sparse weights between items, by rows (CSR), and a prior that is the same for everybody.

    The score of item i for a user who did something with the items j, each with a weight w_j, is
    Σ_j w_j · table[j, i], divided by its standard deviation over all items, plus prior[i].

    Attributes:
        indptr: `(n_items + 1,)` int64; the row of item j is `[indptr[j]:indptr[j + 1]]` of the other two.
        items: `(n,)` int32 item rows, rising within a row of the table; never the item itself.
        values: `(n,)` float32.
        prior: `(n_items,)` float32, such as a weight times the logarithm of recent popularity; zeros: none.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    prior: NDArray[np.float32]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> ItemTable:
        """Put a table together from its arrays by name."""
        return cls(arrays["indptr"], arrays["items"], arrays["values"], arrays["prior"])

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in TABLE_FILES}

    @property
    def n_items(self) -> int:
        """How many items the table knows."""
        return len(self.prior)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return int(self.indptr.nbytes + self.items.nbytes + self.values.nbytes + self.prior.nbytes)

    def row(self, item: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return what an interaction with `item` speaks for: rows `(m,)` and values `(m,)`."""
        place = slice(self.indptr[item], self.indptr[item + 1])
        return self.items[place], self.values[place]

    def entries(self, rows: NDArray[np.int32]) -> TableEntries:
        """Return what interactions with the items in `rows` `(m,)` speak for, row after row."""
        starts = self.indptr[rows]
        counts = self.indptr[rows + 1] - starts
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
        return TableEntries(self.items[places], self.values[places], counts)

    def sums(self, rows: NDArray[np.int32], weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return Σ_j w_j · table[j, i] for every item, `(n_items,)`, over the items in `rows` `(m,)`.

        Args:
            weights: `(m,)`; `None` is 1 each.
        """
        return self._sums(self.entries(rows), weights)

    def scores(self, rows: NDArray[np.int32], weights: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Return the scores `(n_items,)` of a user with these items; without any that says something, the prior."""
        personal = self.scores_by(self.entries(rows), weights)
        return self.prior.copy() if personal is None else personal

    def scores_by(self, entries: TableEntries, weights: NDArray[Any] | None = None) -> NDArray[np.float32] | None:
        """Return the scores `(n_items,)` by entries of this table; `None` when they tell no item from another."""
        touched: NDArray[np.int32] | slice = slice(None)
        if len(entries.items) * _FEW < self.n_items:  # of a million items a user's say something for thousands
            touched, place = np.unique(entries.items, return_inverse=True)
            sums = _added(place, entries.weighted(weights), len(touched))
        else:
            sums = self._sums(entries, weights)
        spread = _spread(sums, self.n_items)
        if spread is None:
            return None
        scores = self.prior.copy()
        scores[touched] = sums / spread + self.prior[touched]
        return scores

    def alike(self, item: int) -> NDArray[np.float32] | None:
        """Return how much an interaction with `item` speaks for each item, `(n_items,)`, as a share of the greatest.

        −inf where it says nothing or speaks against the item; `None` when it speaks for none.
        """
        items, values = self.row(item)
        if not len(values) or values.max() <= 0:
            return None
        shares = np.full(self.n_items, -np.inf, dtype=np.float32)
        shares[items[values > 0]] = values[values > 0] / values.max()
        return shares

    def likeness(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return vectors `(n, n)` of the items in `rows` `(n,)`, in which two are alike when one speaks for the other.

        The vector of an item is its row of the table at the n items, with its greatest value for the item itself.
        Zeros for an item that speaks for none.
        """
        entries = self.entries(rows)
        owner = np.repeat(np.arange(len(rows)), entries.counts)
        place = np.full(self.n_items, -1, dtype=np.int32)
        place[rows] = np.arange(len(rows))
        column = place[entries.items]
        inside = column >= 0
        vectors = np.zeros((len(rows), len(rows)), dtype=np.float32)
        vectors[owner[inside], column[inside]] = entries.values[inside]
        own = np.zeros(len(rows), dtype=np.float32)
        np.maximum.at(own, owner, entries.values)
        np.fill_diagonal(vectors, own)
        return vectors

    def _sums(self, entries: TableEntries, weights: NDArray[Any] | None) -> NDArray[np.float64]:
        return _added(entries.items, entries.weighted(weights), self.n_items)

    def check(self) -> None:
        """Refuse arrays that are no table; all of them are read.

        Raises:
            CorruptArtifact: names the array.
        """
        for name, array, dtype in (
            ("indptr", self.indptr, np.int64),
            ("items", self.items, np.int32),
            ("values", self.values, np.float32),
            ("prior", self.prior, np.float32),
        ):
            if array.dtype != dtype or array.ndim != 1:
                raise _wrong(name, f"has type {array.dtype} and {array.ndim} dimensions")
        if len(self.indptr) != self.n_items + 1 or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            raise _wrong("indptr", f"does not part {len(self.items)} entries into {self.n_items} rows")
        if self.indptr[-1] != len(self.items) or len(self.items) != len(self.values):
            raise _wrong("items", "does not have one value for each entry")
        if len(self.items) and (self.items.min() < 0 or self.items.max() >= self.n_items):
            raise _wrong("items", "names an item row that does not exist")
        if not (np.isfinite(self.values).all() and np.isfinite(self.prior).all()):
            raise _wrong("values", "holds a value that is not finite")


def _added(places: NDArray[np.integer], values: NDArray[Any], n: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(places, values, n), dtype=np.float64)


def _spread(sums: NDArray[np.float64], n: int) -> float | None:
    """Return the standard deviation of n numbers, those besides `sums` being 0; `None` where they are all the same."""
    if n == 0:
        return None
    square = float(np.square(sums).sum())
    variance = (square - float(sums.sum()) ** 2 / n) / n
    return sqrt(variance) if _NOISE * square < variance < np.inf else None


def _wrong(name: str, problem: str) -> CorruptArtifact:
    return CorruptArtifact(f"release item_table_{name}: {problem}; build the release again.")
