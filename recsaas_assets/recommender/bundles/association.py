"""The table of items that go together, counted in blocks of items so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsaas_assets.recommender.bundles.baskets import Baskets
from recsaas_assets.recommender.bundles.evidence import LEAST_TOGETHER, are_alternatives, are_associated
from recsaas_assets.recommender.data.arrays import Mask, Values
from resources.release.item_table import ItemTable

KEPT = 100
"""Items that one item of a basket speaks for, at most."""
_BLOCK_ENTRIES = 4_000_000
"""Joint entries that one block may have at most, before equal ones are added up: some 150 MB."""
_USER_NUMBERS = 65_521
_MIX = 2_654_435_761


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """What visits looked at (anything they did), and what they took; the same visits in the same order.

    Attributes:
        looked_at, taken: (visits, items) of ones.
    """

    looked_at: sparse.csr_array
    taken: sparse.csr_array

    @property
    def shares(self) -> Values:
        """Of the visits that look at an item the share that takes it, (n_items,)."""
        looked, taken = _columns(self.looked_at), _columns(self.taken)
        return np.divide(taken, looked, out=np.zeros_like(looked), where=looked > 0)


def associations(baskets: Baskets, visits: Visits | None = None, *, kept: int = KEPT) -> ItemTable:
    """Build the table: row j says how much a basket with item j speaks for the others.

    A pair counts when it is in baskets surely more often than chance has it (`are_associated`), in baskets of at least
    two users, so that nobody's own basket can be read off the answers, and when it is no pair of alternatives. Its
    value is the share of the first item's baskets that hold the second times the share of the second's that hold the
    first (the square of the cosine), where a basket of m items counts 1 / √(m − 1): it is the less about each pair, the
    more there are. See docs/models.md for the measures it was chosen from. Each row keeps the `kept` greatest values,
    of equal ones those of the lower item row.

    Args:
        baskets: those of one item, or of too many, are left out.
        visits: without them no pair is taken for alternatives.
    """
    used = baskets.usable()
    matrix = used.matrix()
    weighted = _by_basket(matrix, 1 / np.sqrt(used.sizes - 1))
    counts, weights = _columns(matrix), np.bincount(weighted.indices, weighted.data, used.n_items)
    joint, joint_weights = _Joint.of(matrix, matrix), _Joint.of(weighted, matrix)
    several_users = _SeveralUsers.of(used, matrix)
    alternatives = _Alternatives.of(visits) if visits is not None else None
    rows: list[sparse.csr_array] = []
    for start, end in _blocks(matrix):
        found = joint.block(start, end).tocoo()
        often = (found.data >= LEAST_TOGETHER) & (found.row + start != found.col)
        first, second, together = found.row[often].astype(np.int64) + start, found.col[often], found.data[often]
        good = are_associated(together, counts[first], counts[second], float(len(used)))
        first, second, together = first[good], second[good].astype(np.int64), together[good]
        pairs = _BlockPairs(start, end, first - start, second)
        good = several_users.hold(pairs, together)
        if alternatives is not None:
            good &= ~alternatives.among(pairs)
        first, second = first[good], second[good]
        together = joint_weights.values(_BlockPairs(start, end, first - start, second))
        values = together * together / (weights[first] * weights[second])
        rows.append(_strongest(first - start, second, values, (end - start, baskets.n_items), kept))
    return _table(rows, baskets.n_items)


@dataclass(frozen=True, slots=True, eq=False)
class _BlockPairs:
    """Pairs (n,) whose first item is in the block of item rows from `start` to `end`; `first` counts from there."""

    start: int
    end: int
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Joint:
    """Sums over baskets of left · right for pairs of items, a block of items at a time."""

    left: sparse.csr_array
    right: sparse.csr_array

    @classmethod
    def of(cls, left: sparse.csr_array, right: sparse.csr_array) -> _Joint:
        return cls(left.T.tocsr(), right)

    def block(self, start: int, end: int) -> sparse.csr_array:
        product = (self.left[start:end] @ self.right).tocsr()
        product.sort_indices()
        return product

    def values(self, pairs: _BlockPairs) -> Values:
        """The sums of these pairs, (n,); a pair that is never together has 0."""
        if not len(pairs.first):
            return np.zeros(0)
        product = self.block(pairs.start, pairs.end)
        width = product.shape[1]
        places = np.repeat(np.arange(product.shape[0]), np.diff(product.indptr)) * width + product.indices
        wanted = pairs.first * width + pairs.second
        at = np.minimum(np.searchsorted(places, wanted), max(len(places) - 1, 0))
        return np.where(places[at] == wanted, product.data[at], 0.0) if len(places) else np.zeros(len(wanted))


@dataclass(frozen=True, slots=True, eq=False)
class _SeveralUsers:
    """Whether baskets of more than one user hold a pair.

    By Cauchy and Schwarz, n · Σx² = (Σx)² only when all x are equal: x is a number of the basket's user. (Two users may
    share a number, once in 65,521, and then count as one.)
    """

    sums: _Joint
    squares: _Joint

    @classmethod
    def of(cls, baskets: Baskets, matrix: sparse.csr_array) -> _SeveralUsers:
        numbers = (baskets.user_row.astype(np.int64) * _MIX % _USER_NUMBERS + 1).astype(np.float64)
        weighted = _by_basket(matrix, numbers)
        return cls(_Joint.of(weighted, matrix), _Joint.of(weighted, weighted))

    def hold(self, pairs: _BlockPairs, together: Values) -> Mask:
        sums = self.sums.values(pairs)
        return np.asarray(together * self.squares.values(pairs) - sums * sums > 0.5)  # whole numbers


@dataclass(frozen=True, slots=True, eq=False)
class _Alternatives:
    """Whether pairs are alternatives, by the visits."""

    looked_at: _Joint
    taken: _Joint
    shares: Values

    @classmethod
    def of(cls, visits: Visits) -> _Alternatives:
        looked_at, taken = visits.looked_at, visits.taken
        return cls(_Joint.of(looked_at, looked_at), _Joint.of(taken, taken), visits.shares)

    def among(self, pairs: _BlockPairs) -> Mask:
        first, second = self.shares[pairs.first + pairs.start], self.shares[pairs.second]
        return are_alternatives(self.looked_at.values(pairs), self.taken.values(pairs), first, second)


def _blocks(matrix: sparse.csr_array) -> Iterator[tuple[int, int]]:
    """Item rows from … to, such that the product of a block has at most `_BLOCK_ENTRIES` terms, or one item."""
    sizes = np.diff(matrix.indptr)
    terms = np.bincount(matrix.indices, weights=np.repeat(sizes, sizes), minlength=matrix.shape[1])
    passed = np.concatenate([[0], np.cumsum(terms)])
    start = 0
    while start < matrix.shape[1]:
        end = int(np.searchsorted(passed, passed[start] + _BLOCK_ENTRIES, side="right")) - 1
        end = min(max(end, start + 1), matrix.shape[1])
        yield start, end
        start = end


def _strongest(
    rows: np.ndarray, columns: np.ndarray, values: Values, shape: tuple[int, int], kept: int
) -> sparse.csr_array:
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    starts = np.searchsorted(rows, np.arange(shape[0]))
    chosen = np.arange(len(rows)) - starts[rows] < kept
    table = sparse.csr_array((values[chosen], (rows[chosen], columns[chosen])), shape=shape)
    table.sort_indices()
    return table


def _table(rows: list[sparse.csr_array], n_items: int) -> ItemTable:
    whole = sparse.vstack(rows, format="csr") if rows else sparse.csr_array((n_items, n_items))
    return ItemTable(
        whole.indptr.astype(np.int64),
        whole.indices.astype(np.int32),
        whole.data.astype(np.float32),
        np.zeros(n_items, dtype=np.float32),
    )


def _by_basket(matrix: sparse.csr_array, factors: np.ndarray) -> sparse.csr_array:
    """The matrix with each row times its factor, (baskets,)."""
    weighted = matrix.copy()
    weighted.data = weighted.data * np.repeat(factors, np.diff(matrix.indptr))
    return weighted


def _columns(matrix: sparse.csr_array) -> Values:
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
