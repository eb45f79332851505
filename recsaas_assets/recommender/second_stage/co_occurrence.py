"""What goes with what: cosines between items over the users who have both (Sarwar et al. 2001), as an item table."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsaas_assets.recommender.data.pairs import Pairs
from resources.release.item_table import ItemTable

_NEIGHBOURS = 50
_MOST_PER_USER = 200
"""A user's newest items that count; pairs of items grow with their square."""
_BLOCK = 512


def co_occurrence(pairs: Pairs, n_users: int, n_items: int, neighbours: int = _NEIGHBOURS) -> ItemTable:
    """Keep for each item the `neighbours` most similar ones; the prior is zero."""
    order = np.lexsort((pairs.age_days, pairs.user_row))
    starts = np.searchsorted(pairs.user_row, pairs.user_row)
    newest = order[np.arange(len(pairs)) - starts < _MOST_PER_USER]
    ones = np.ones(len(newest), dtype=np.float32)
    history = sparse.csr_array((ones, (pairs.user_row[newest], pairs.item_row[newest])), shape=(n_users, n_items))
    roots = np.sqrt(np.maximum(np.bincount(pairs.item_row[newest], minlength=n_items), 1)).astype(np.float32)
    transposed = history.T.tocsr()
    lengths = np.zeros(n_items, dtype=np.int64)
    items, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    for start in range(0, n_items, _BLOCK):
        shared = (transposed[start : start + _BLOCK] @ history).tocoo()
        rows, columns = shared.coords
        cosines = shared.data / (roots[rows + start] * roots[columns])
        other = rows + start != columns
        rows, columns, cosines = rows[other], columns[other], cosines[other]
        best = np.lexsort((columns, -cosines, rows))
        rows, columns, cosines = rows[best], columns[best], cosines[best]
        kept = np.arange(len(rows)) - np.searchsorted(rows, rows) < neighbours
        rows, columns, cosines = rows[kept], columns[kept], cosines[kept]
        rising = np.lexsort((columns, rows))
        items.append(columns[rising].astype(np.int32))
        values.append(cosines[rising].astype(np.float32))
        lengths[start : start + _BLOCK] = np.bincount(rows, minlength=min(_BLOCK, n_items - start))
    return ItemTable(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.concatenate(items),
        values=np.concatenate(values),
        prior=np.zeros(n_items, dtype=np.float32),
    )
