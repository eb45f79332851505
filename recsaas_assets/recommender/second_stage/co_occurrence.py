"""What goes with what, as an item table: what people who have one item took, and how lately (Sarwar et al. 2001)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant, recall
from recsaas_assets.recommender.metrics.scorers import rank_blocks
from resources.ranker.second_stage.candidate_features import FADING, FROM_TABLE, TABLE_RECENT
from resources.release.item_table import ItemTable

HALF_LIVES: tuple[float | None, ...] = (None, 60.0, 20.0)
"""Days after which a pair counts half; None: never. What serves a shop is found on its validation period."""
_NEIGHBOURS = 50
_MOST_PER_USER = 200
"""A user's newest items that count: the work grows with their square."""
_BLOCK_CELLS = 10_000_000
"""Items of a block of rows times all items: what a block may hold at most before the cut."""
_USERS = 1000
_MOST_PAIRS = 1_000_000
"""So many pairs are enough to choose a half-life on."""


def co_occurrence(pairs: Pairs, n_users: int, n_items: int, *, half_life: float | None) -> ItemTable:
    """Keep for each item j the items i with the greatest Σ_u w_ui / √(n_j · Σ_u w_ui), the first sum over j's users.

    n_j is the number of j's users, and w_ui halves with every ``half_life`` days of the pair's age; with None it is the
    cosine. Items nobody has are in no row. The prior is zero. Memory stays at a block of rows before the cut.
    """
    new = _newest(pairs, _MOST_PER_USER)
    shape = n_users, n_items
    rows, columns = pairs.user_row[new], pairs.item_row[new]
    fresh = np.ones(len(new)) if half_life is None else 0.5 ** (pairs.age_days[new].astype(np.float64) / half_life)
    weighted = sparse.csr_array((fresh, (rows, columns)), shape=shape)
    users_of = sparse.csr_array((np.ones(len(new)), (rows, columns)), shape=shape).T.tocsr()
    sources = np.sqrt(np.maximum(np.bincount(columns, minlength=n_items), 1))
    targets = np.sqrt(np.maximum(np.bincount(columns, fresh, n_items), 1e-12))
    lengths, items, values = [np.zeros(1, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    step = max(_BLOCK_CELLS // max(n_items, 1), 1)
    for start in range(0, n_items, step):
        block = (users_of[start : start + step] @ weighted).tocoo()
        own, other = block.coords
        scaled = (block.data / (sources[start + own] * targets[other])).astype(np.float32)
        kept = _best_of_each(own, other, np.where(start + own == other, 0, scaled))
        items.append(other[kept].astype(np.int32))
        values.append(scaled[kept])
        lengths.append(np.bincount(own[kept], minlength=min(step, n_items - start)))
    return ItemTable(
        indptr=np.cumsum(np.concatenate(lengths)).astype(np.int64),
        items=np.concatenate(items),
        values=np.concatenate(values),
        prior=np.zeros(n_items, dtype=np.float32),
    )


def best_half_life(validation: Holdout, *, seed: int) -> float | None:
    """The half-life whose table finds most of what came later, for at most 1,000 users drawn by ``seed``.

    Of a history with more than a million pairs, so many users that they have about a million are looked at.
    """
    dice = np.random.default_rng(seed)
    history = validation.history
    if len(history) > _MOST_PAIRS:
        history = history.of_users(dice.random(validation.n_users) < _MOST_PAIRS / len(history))
        validation = Holdout(history, validation.later, validation.n_users, validation.n_items)
    users = np.unique(validation.targets.user_row).astype(np.int32)
    if len(users) > _USERS:
        users = np.sort(dice.choice(users, _USERS, replace=False))
    if not len(users):
        return None
    found = {half_life: _found_by(half_life, validation, users) for half_life in HALF_LIVES}
    return max(found, key=lambda half_life: found[half_life])


def _found_by(half_life: float | None, validation: Holdout, users: Rows) -> float:
    """Share of the users' targets that the table has among its first ``FROM_TABLE``, a mean over ``users``."""
    history, n_users, n_items = validation.history, validation.n_users, validation.n_items
    table = co_occurrence(history, n_users, n_items, half_life=half_life)
    weights = sparse.csr_array((table.values, table.items, table.indptr), shape=(n_items, n_items))
    new = _newest(history, TABLE_RECENT)
    fading = FADING ** _places(history)[new]
    asked = sparse.csr_array((fading, (history.user_row[new], history.item_row[new])), shape=(n_users, n_items))

    def score(rows: Rows) -> torch.Tensor:
        return torch.from_numpy((asked[rows] @ weights).toarray().astype(np.float32))

    ranked, _ = rank_blocks(score, users, FROM_TABLE, validation.seen)
    return float(recall(mark_relevant(users, ranked, validation.targets, n_users, n_items), FROM_TABLE).mean())


def _places(pairs: Pairs) -> npt.NDArray[np.int64]:
    """Of each pair, how many newer ones its user has; of equal age the later row is the newer one."""
    order = np.lexsort((-pairs.item_row, pairs.age_days, pairs.user_row))
    places = np.empty(len(pairs), dtype=np.int64)
    places[order] = np.arange(len(pairs)) - np.searchsorted(pairs.user_row, pairs.user_row)
    return places


def _newest(pairs: Pairs, most: int) -> npt.NDArray[np.int64]:
    """Which pairs are among the ``most`` newest of their user."""
    return np.flatnonzero(_places(pairs) < most)


def _best_of_each(
    own: npt.NDArray[np.integer], other: npt.NDArray[np.integer], values: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Places (n,) of the greatest values above 0 of each ``own``, at most `_NEIGHBOURS`, by own, then other."""
    best = np.lexsort((other, -values, own))
    best = best[values[best] > 0]
    rows = own[best]
    best = best[np.arange(len(best)) - np.searchsorted(rows, rows) < _NEIGHBOURS]
    return best[np.lexsort((other[best], own[best]))]
