"""What the second stage puts in order, and how it is described: the same for training, measuring and answering.

The candidates are the retrieval's best items and those that an item table finds beside what the user did last. Trees of
older releases know nothing of the table; for them the candidates are the retrieval's alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.release.item_table import ItemTable

CANDIDATES = 100
"""How many of the retrieval's best items are put in order."""
FROM_TABLE = 50
"""How many more the item table may add."""
REACH = CANDIDATES + FROM_TABLE
"""As many items are asked of the retrieval, so that each place of the new order has a score."""
RECENT = 10
"""How many of the user's newest items a candidate is compared with."""
TABLE_RECENT = 20
"""How many of the user's newest items the table is asked about."""
MISSING = -1.0
"""Stands for an unknown feature, because arrays of a release are finite; no feature that can be missing is below 0."""
PAIR_FEATURES = (
    "score",
    "place",
    "standard_score",
    "score_below_best",
    "taste",
    "likeness_to_newest",
    "likeness_at_most",
    "likeness_on_average",
    "share_of_category",
    "price_to_usual",
)
"""Features that are worked out for a user and a candidate; those of the table and of either side follow."""
TABLE_FEATURES = (
    "table_score",
    "table_place",
    "table_at_most",
    "table_newest",
    "category_places_ago",
)
"""Features that need the item table; trees of older releases do not have them."""
USER, ITEM = "user_", "item_"
"""The beginnings of the names of the features of one side."""
CATEGORY, PRICE = "category", "price"
"""Columns of the item features that pair features are made of."""
USUAL_PRICE = "avg_purchase_price"
"""The column of the user features that pair features are made of."""
FADING = 0.9
"""What an item of the user counts less than the next newer one, when the table is asked."""
_RETRIEVAL_WEIGHT = 0.5

Floats = NDArray[np.float32]
ItemRows = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Candidates of one user.

    Attributes:
        rows: `(n,)` item rows; those of the retrieval first, best first, then those of the table alone, best first.
        features: `(n, n_features)`, as named by `CandidateFeatures.names`.
    """

    rows: ItemRows
    features: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _FromTable:
    """What the table says of every item, `(n_items,)`: the faded sum over the user's newest items, and the most."""

    total: NDArray[np.float64]
    most: Floats
    spread: float


class CandidateFeatures:
    """Finds and describes candidates, by retrieval scores, by what the user did last, and by features of both sides.

    Args:
        item_vectors: `(n_items, d)`.
        taste_dimensions: leading coordinates that were learned; `None`: all.
        users: `(n_users, fu)`, `MISSING` where a feature is unknown.
        items: `(n_items, fi)`, likewise; the column `CATEGORY` numbers the categories.
        user_names, item_names: of the columns.
        table: what goes with what; `None`: candidates of the retrieval alone.
    """

    def __init__(
        self,
        *,
        item_vectors: Floats,
        taste_dimensions: int | None,
        users: Floats,
        items: Floats,
        user_names: tuple[str, ...],
        item_names: tuple[str, ...],
        table: ItemTable | None,
    ) -> None:
        self.names = (
            *PAIR_FEATURES,
            *(() if table is None else TABLE_FEATURES),
            *(USER + name for name in user_names),
            *(ITEM + name for name in item_names),
        )
        self.widths = len(user_names), len(item_names)
        self._users, self._items, self._table = users, items, table
        self._vectors = item_vectors
        self._learned = item_vectors[:, :taste_dimensions]
        self._norms = np.maximum(np.linalg.norm(self._learned, axis=1), 1e-12)
        unknown = np.full(len(items), MISSING, dtype=np.float32)
        self._category = items[:, item_names.index(CATEGORY)] if CATEGORY in item_names else unknown
        self._price = items[:, item_names.index(PRICE)] if PRICE in item_names else unknown
        self._usual = user_names.index(USUAL_PRICE) if USUAL_PRICE in user_names else None

    def __call__(
        self,
        user_row: int,
        user_vector: Floats,
        rows: ItemRows,
        scores: NDArray[np.floating[Any]],
        history: ItemRows,
        allowed: NDArray[np.bool_],
    ) -> Described:
        """Find and describe the candidates of one user.

        Args:
            user_vector: `(d,)`.
            rows: `(n,)`, the retrieval's best items, best first, with their inner products `scores` `(n,)`; those
                behind the first `CANDIDATES` do not matter.
            history: `(m,)` rows of the user's items, most recent last.
            allowed: `(n_items,)`, the items that the table may add.
        """
        rows, scores = rows[:CANDIDATES], scores[:CANDIDATES]
        found = None if self._table is None else self._asked(self._table, history[-TABLE_RECENT:])
        from_retrieval = scores
        if found is not None:
            extra = _best_others(found.total, rows, allowed)
            rows = np.concatenate([rows, extra])
            scores = np.concatenate([scores, self._vectors[extra] @ user_vector])
        features = np.empty((len(rows), len(self.names)), dtype=np.float32)
        features[:, : len(PAIR_FEATURES)] = self._of_pairs(user_row, user_vector, rows, scores, history)
        features[:, 1] = np.minimum(np.arange(len(rows)), len(from_retrieval))
        spread = float(from_retrieval.std()) or 1.0
        features[:, 2] = (scores - from_retrieval.mean()) / spread
        start = len(PAIR_FEATURES)
        if found is not None:
            features[:, start : start + len(TABLE_FEATURES)] = self._of_table(found, rows, history)
            start += len(TABLE_FEATURES)
        end = start + self._users.shape[1]
        features[:, start:end] = self._users[user_row]
        features[:, end:] = self._items[rows]
        return Described(rows, features)

    def _of_pairs(
        self,
        user_row: int,
        user_vector: Floats,
        rows: ItemRows,
        scores: NDArray[np.floating[Any]],
        history: ItemRows,
    ) -> Floats:
        described = np.empty((len(rows), len(PAIR_FEATURES)), dtype=np.float32)
        described[:, 0] = scores
        described[:, 3] = scores[0] - scores
        learned = self._learned[rows]
        described[:, 4] = learned @ user_vector[: learned.shape[1]]
        described[:, 5:8] = self._likeness(learned, rows, history[-RECENT:])
        described[:, 8] = self._share_of_category(rows, history[-RECENT:])
        described[:, 9] = self._price_to_usual(user_row, rows)
        return described

    def _asked(self, table: ItemTable, newest: ItemRows) -> _FromTable:
        """Ask the table about items `(m,)`, most recent last."""
        entries = table.entries(newest)
        fading = FADING ** np.arange(len(newest) - 1, -1, -1)
        total = np.bincount(entries.items, entries.weighted(fading), table.n_items).astype(np.float64)
        most = np.zeros(table.n_items, dtype=np.float32)
        np.maximum.at(most, entries.items, entries.values)
        variance = float(total @ total) / max(len(total), 1) - float(total.mean()) ** 2
        return _FromTable(total, most, variance**0.5 if variance > 0 else 1.0)

    def _of_table(self, found: _FromTable, rows: ItemRows, history: ItemRows) -> Floats:
        described = np.empty((len(rows), len(TABLE_FEATURES)), dtype=np.float32)
        sums = found.total[rows]
        described[:, 0] = sums / found.spread
        places = np.empty(len(rows), dtype=np.float32)
        places[np.argsort(-sums, kind="stable")] = np.arange(len(rows))
        described[:, 1] = places
        described[:, 2] = found.most[rows]
        described[:, 3] = self._newest_says(rows, history)
        described[:, 4] = self._category_places_ago(rows, history[-TABLE_RECENT:])
        return described

    def _newest_says(self, rows: ItemRows, history: ItemRows) -> Floats:
        """Value of the table's row of the newest item at the candidates, 0 where there is none."""
        table = self._table
        if table is None or not len(history):
            return np.zeros(len(rows), dtype=np.float32)
        items, values = table.row(int(history[-1]))
        if not len(items):
            return np.zeros(len(rows), dtype=np.float32)
        place = np.minimum(np.searchsorted(items, rows), len(items) - 1)
        return np.where(items[place] == rows, values[place], 0).astype(np.float32)

    def _category_places_ago(self, rows: ItemRows, newest: ItemRows) -> Floats:
        """How many items ago the user had one of the candidate's category; as many as there are for never."""
        own = self._category[rows]
        if not len(newest):
            return np.full(len(rows), MISSING, dtype=np.float32)
        same = own[:, None] == self._category[newest[::-1]]
        ago = np.where(same.any(axis=1), same.argmax(axis=1), len(newest))
        return np.where(own >= 0, ago, MISSING).astype(np.float32)

    def _likeness(self, learned: Floats, rows: ItemRows, newest: ItemRows) -> Floats:
        """Cosines to the newest item, the greatest and the mean one to the newest items; MISSING without any."""
        if not len(newest):
            return np.full((len(rows), 3), MISSING, dtype=np.float32)
        directions = self._learned[newest] / self._norms[newest][:, None]
        cosines = learned @ directions.T / self._norms[rows][:, None]
        likeness = np.empty((len(rows), 3), dtype=np.float32)
        likeness[:, 0] = cosines[:, -1]
        cosines.max(axis=1, out=likeness[:, 1])
        cosines.mean(axis=1, out=likeness[:, 2])
        return likeness

    def _share_of_category(self, rows: ItemRows, newest: ItemRows) -> Floats:
        """Share of the newest items that are in the candidate's category; MISSING without either."""
        own = self._category[rows]
        if not len(newest):
            return np.full(len(rows), MISSING, dtype=np.float32)
        shares = (own[:, None] == self._category[newest]).mean(axis=1)
        return np.where(own >= 0, shares, MISSING).astype(np.float32)

    def _price_to_usual(self, user_row: int, rows: ItemRows) -> Floats:
        """The candidate's price over the mean price that the user pays; MISSING without either."""
        usual = MISSING if self._usual is None else float(self._users[user_row, self._usual])
        price = self._price[rows]
        return np.where((price >= 0) & (usual > 0), price / max(usual, 1e-6), MISSING).astype(np.float32)


def _best_others(total: NDArray[np.float64], rows: ItemRows, allowed: NDArray[np.bool_]) -> ItemRows:
    """Rows with the greatest values above 0, at most `FROM_TABLE`, that are allowed and not among `rows`."""
    left = np.where(allowed, total, 0.0)
    left[rows] = 0.0
    others = np.flatnonzero(left)
    if len(others) > FROM_TABLE:
        cut = np.partition(left[others], len(others) - FROM_TABLE)[len(others) - FROM_TABLE]
        others = others[left[others] >= cut]
    order = np.lexsort((others, -left[others]))[:FROM_TABLE]
    return others[order].astype(np.int32)


def start_scores(features: Floats) -> NDArray[np.float64]:
    """Return what the trees correct, `(n,)` for candidates described as `(n, n_features)`: the retrieval's own scores.

    So few trees change the order only a little.
    """
    return _RETRIEVAL_WEIGHT * features[:, PAIR_FEATURES.index("standard_score")].astype(np.float64)
