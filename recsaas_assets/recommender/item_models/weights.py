"""Sparse item–item weights: the strongest ones of each row, built block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.metrics.scorers import best_columns

ENTRIES = 200
"""What a row of a table holds at most."""
_BLOCK = 512
_BLOCK_ELEMENTS = 1 << 25
_SPARSE = 0.02
"""Share of a block that is not zero below which sorting its entries is faster than reading the whole block."""


def row_blocks(n_items: int) -> Iterable[tuple[int, int]]:
    """Ranges of rows whose dense form, (rows, n_items) float32, takes 128 MiB at most."""
    step = max(1, min(_BLOCK, _BLOCK_ELEMENTS // max(n_items, 1)))
    return ((start, min(start + step, n_items)) for start in range(0, n_items, step))


def strongest(rows: Callable[[int, int], torch.Tensor], n_items: int, entries: int) -> sparse.csr_array:
    """The `entries` weights of each row that are furthest from zero, (n_items, n_items) float32, diagonal left out.

    Args:
        rows: dense weights (stop − start, n_items) float32 of the rows from start to stop, which are overwritten.
    """
    return _stacked((_cut_dense(rows(start, stop), start, entries) for start, stop in row_blocks(n_items)), n_items)


def strongest_of_sparse(rows: Callable[[int, int], sparse.csr_array], n_items: int, entries: int) -> sparse.csr_array:
    """The same from blocks of rows that are sparse."""

    def cut(start: int, stop: int) -> sparse.csr_array:
        block = rows(start, stop)
        if block.nnz > _SPARSE * (stop - start) * n_items:
            return _cut_dense(torch.from_numpy(block.toarray()), start, entries)
        return _cut_sparse(block, start, entries)

    return _stacked((cut(start, stop) for start, stop in row_blocks(n_items)), n_items)


def _cut_dense(dense: torch.Tensor, start: int, entries: int) -> sparse.csr_array:
    height, n_items = dense.shape
    width = min(entries, n_items)
    own = torch.arange(height)
    dense[own, own + start] = 0
    _, columns = best_columns(dense.abs(), width)
    values = dense.gather(1, columns).numpy().ravel()
    ends = np.arange(0, (height + 1) * width, max(width, 1))
    return sparse.csr_array((values, columns.numpy().ravel(), ends), shape=(height, n_items))


def _cut_sparse(block: sparse.csr_array, start: int, entries: int) -> sparse.csr_array:
    height, n_items = block.shape
    row = np.repeat(np.arange(height), np.diff(block.indptr))
    others = block.indices != row + start
    row, column, value = row[others], block.indices[others], block.data[others]
    order = np.lexsort((column, -np.abs(value), row))
    row, column, value = row[order], column[order], value[order]
    first = np.searchsorted(row, np.arange(height))
    kept = np.arange(len(row)) - first[row] < entries
    return sparse.csr_array((value[kept], (row[kept], column[kept])), shape=(height, n_items))


def _stacked(blocks: Iterable[sparse.csr_array], n_items: int) -> sparse.csr_array:
    stack = list(blocks)
    if not stack:
        return sparse.csr_array((n_items, n_items), dtype=np.float32)
    found = sparse.csr_array(sparse.vstack(stack, format="csr"), dtype=np.float32)
    found.eliminate_zeros()
    found.sort_indices()
    return found
