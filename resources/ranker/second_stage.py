"""The second stage: boosted trees put the first candidates of the retrieval into another order.

One function describes a user's candidates for training, measuring and answering, so that the trees see the same numbers
everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ConfigurationError, CorruptRelease
from resources.release.contents import SECOND_STAGE
from resources.release.load import LoadedRelease
from resources.release.manifest import TABLE_ALGORITHMS

CANDIDATES = 100
"""How many of the retrieval's best items are put in order; those behind them keep their places."""
RECENT = 10
"""How many of the user's newest items a candidate is compared with."""
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
"""Features that are worked out for a user and a candidate; the user's and the item's own features follow."""
USER, ITEM = "user_", "item_"
"""The beginnings of the names of these features."""
CATEGORY, PRICE = "category", "price"
"""Columns of the item features that pair features are made of."""
USUAL_PRICE = "avg_purchase_price"
"""The column of the user features that pair features are made of."""
_RETRIEVAL_WEIGHT = 0.5

Floats = NDArray[np.float32]


class CandidateFeatures:
    """Describes candidates by retrieval scores, by what the user did last, and by features of both sides.

    Args:
        item_vectors: `(n_items, d)`.
        taste_dimensions: leading coordinates that were learned; `None`: all.
        users: `(n_users, fu)`, `MISSING` where a feature is unknown.
        items: `(n_items, fi)`, likewise; the column `CATEGORY` numbers the categories.
        user_names, item_names: of the columns.
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
    ) -> None:
        self.names = (
            *PAIR_FEATURES,
            *(USER + name for name in user_names),
            *(ITEM + name for name in item_names),
        )
        self.widths = len(user_names), len(item_names)
        self._users, self._items = users, items
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
        rows: NDArray[np.int32],
        scores: NDArray[np.floating[Any]],
        history: NDArray[np.int32],
    ) -> Floats:
        """Describe one user's candidates `rows` `(n,)`, best first, with their inner products `scores` `(n,)`.

        `user_vector` is `(d,)`; `history` `(m,)` are the rows of the user's items, most recent last.

        Returns:
            `(n, len(names))`.
        """
        described = np.empty((len(rows), len(self.names)), dtype=np.float32)
        spread = float(scores.std()) or 1.0
        described[:, 0] = scores
        described[:, 1] = np.arange(len(rows))
        described[:, 2] = (scores - scores.mean()) / spread
        described[:, 3] = scores[0] - scores
        learned = self._learned[rows]
        described[:, 4] = learned @ user_vector[: learned.shape[1]]
        described[:, 5:8] = self._likeness(learned, rows, history[-RECENT:])
        described[:, 8] = self._share_of_category(rows, history[-RECENT:])
        described[:, 9] = self._price_to_usual(user_row, rows)
        end = len(PAIR_FEATURES) + self._users.shape[1]
        described[:, len(PAIR_FEATURES) : end] = self._users[user_row]
        described[:, end:] = self._items[rows]
        return described

    def _likeness(self, learned: Floats, rows: NDArray[np.int32], newest: NDArray[np.int32]) -> Floats:
        """Cosines to the newest item, the greatest and the mean one to the newest items; MISSING without any."""
        if not len(newest):
            return np.full((len(rows), 3), MISSING, dtype=np.float32)
        cosines = learned @ self._learned[newest].T / self._norms[rows][:, None] / self._norms[newest]
        return np.column_stack([cosines[:, -1], cosines.max(axis=1), cosines.mean(axis=1)])

    def _share_of_category(self, rows: NDArray[np.int32], newest: NDArray[np.int32]) -> Floats:
        """Share of the newest items that are in the candidate's category; MISSING without either."""
        own = self._category[rows]
        if not len(newest):
            return np.full(len(rows), MISSING, dtype=np.float32)
        shares = (own[:, None] == self._category[newest]).mean(axis=1)
        return np.where(own >= 0, shares, MISSING).astype(np.float32)

    def _price_to_usual(self, user_row: int, rows: NDArray[np.int32]) -> Floats:
        """The candidate's price over the mean price that the user pays; MISSING without either."""
        usual = MISSING if self._usual is None else float(self._users[user_row, self._usual])
        price = self._price[rows]
        return np.where((price >= 0) & (usual > 0), price / max(usual, 1e-6), MISSING).astype(np.float32)


def start_scores(described: Floats) -> NDArray[np.float64]:
    """Return what the trees correct, `(n,)` for candidates described as `(n, features)`: the retrieval's own scores.

    So few trees change the order only a little.
    """
    return _RETRIEVAL_WEIGHT * described[:, PAIR_FEATURES.index("standard_score")].astype(np.float64)


class SecondStage:
    """Trees (LambdaMART, Burges 2010, MSR-TR-2010-82) that order a user's candidates. Safe to share between threads.

    The trees know the names of the features that they were trained on, so a release need not store them twice.

    Args:
        trees: LightGBM's text form.
        item_vectors: `(n_items, d)`.
        taste_dimensions: leading coordinates that were learned; `None`: all.
        users: `(n_users, fu)`, and
        items: `(n_items, fi)`: the features of both sides.
        name: of the release, in messages.

    Raises:
        CorruptRelease: the trees cannot be read, or they were trained on other features.
        ConfigurationError: LightGBM is not installed.
    """

    def __init__(
        self,
        trees: bytes,
        *,
        item_vectors: Floats,
        taste_dimensions: int | None,
        users: Floats,
        items: Floats,
        name: str,
    ) -> None:
        try:
            import lightgbm  # only a release with a second stage pays for it
        except (ImportError, OSError) as error:  # OSError: the OpenMP library that it needs is missing
            raise ConfigurationError(
                f"{name}: the second stage needs LightGBM, which cannot be loaded. Install it: pip install lightgbm"
            ) from error
        try:
            self._trees = lightgbm.Booster(model_str=trees.decode())
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise CorruptRelease(f"{name}: {SECOND_STAGE} is not a LightGBM model. {_NEXT_STEP}") from error
        names = self._trees.feature_name()
        self._features = CandidateFeatures(
            item_vectors=item_vectors,
            taste_dimensions=taste_dimensions,
            users=users,
            items=items,
            user_names=_after(USER, names),
            item_names=_after(ITEM, names),
        )
        if list(self._features.names) != names or (users.shape[1], items.shape[1]) != self._features.widths:
            raise CorruptRelease(f"{name}: {SECOND_STAGE} was trained on other features than it has. {_NEXT_STEP}")
        self.bytes_in_memory = 2 * len(trees)

    @classmethod
    def of_release(cls, release: LoadedRelease) -> SecondStage | None:
        """Return the second stage of a release; `None` when it has none, or serves popularity or an item table.

        Raises:
            CorruptRelease: a part of it is missing, cannot be read or does not fit, as after a change of the features.
            ConfigurationError: LightGBM is not installed.
        """
        users, items = release.second_stage_users, release.second_stage_items
        without_vectors = release.manifest.algorithm in ("popularity", *TABLE_ALGORITHMS)
        if without_vectors or (users is None and items is None):
            return None
        name, path = f"release {release.version}", release.directory / SECOND_STAGE
        if users is None or items is None or not path.is_file():
            raise CorruptRelease(f"{name}: a part of the second stage is missing. {_NEXT_STEP}")
        try:
            trees = path.read_bytes()
        except OSError as error:
            raise CorruptRelease(f"{name}: {SECOND_STAGE} cannot be read. {_NEXT_STEP}") from error
        return cls(
            trees,
            item_vectors=release.item_vectors,
            taste_dimensions=release.manifest.taste_dimensions,
            users=users,
            items=items,
            name=name,
        )

    def order(
        self,
        user_row: int,
        user_vector: Floats,
        rows: NDArray[np.int32],
        scores: NDArray[np.float64],
        history: NDArray[np.int32],
    ) -> NDArray[np.int32]:
        """Return `rows` `(n,)`, best first by `scores` `(n,)`, with the first `CANDIDATES` of them in the trees' order.

        `user_vector` is `(d,)`, `history` `(m,)`. Ties keep the retrieval's order.
        """
        if len(rows) < 2:
            return rows
        first = rows[:CANDIDATES]
        described = self._features(user_row, user_vector, first, scores[:CANDIDATES], history)
        order = np.argsort(-self.predict(described), kind="stable")
        return np.concatenate([first[order], rows[CANDIDATES:]])

    def predict(self, described: Floats) -> NDArray[np.float64]:
        """Return the scores `(n,)` of candidates described as `(n, features)`; only the order for a user matters."""
        # One thread: a request has a hundred rows, and threads that wait for each other are the tail of the latency.
        corrections = np.asarray(self._trees.predict(described, raw_score=True, num_threads=1), dtype=np.float64)
        return start_scores(described) + corrections


def _after(prefix: str, names: list[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."
