"""The second stage: boosted trees put the candidates into another order than the retrieval's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ConfigurationError, CorruptRelease
from resources.ranker.second_stage.candidate_features import (
    CANDIDATES,
    ITEM,
    TABLE_FEATURES,
    USER,
    CandidateFeatures,
    Floats,
    start_scores,
)
from resources.release.contents import SECOND_STAGE
from resources.release.item_table import ItemTable
from resources.release.load import LoadedRelease
from resources.release.manifest import TABLE_ALGORITHMS


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
        table: what goes with what; trees of older releases do without.

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
        table: ItemTable | None = None,
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
        if TABLE_FEATURES[0] not in names:
            table = None
        elif table is None:
            raise CorruptRelease(f"{name}: the item table that the second stage needs is missing. {_NEXT_STEP}")
        self._features = CandidateFeatures(
            item_vectors=item_vectors,
            taste_dimensions=taste_dimensions,
            users=users,
            items=items,
            user_names=_after(USER, names),
            item_names=_after(ITEM, names),
            table=table,
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
            table=release.item_table,
        )

    def order(
        self,
        user_row: int,
        user_vector: Floats,
        rows: NDArray[np.int32],
        scores: NDArray[np.float64],
        history: NDArray[np.int32],
        allowed: NDArray[np.bool_],
    ) -> NDArray[np.int32]:
        """Put the candidates of a user in the trees' order.

        Args:
            user_vector: `(d,)`.
            rows: `(n,)`, the retrieval's best items, best first by `scores` `(n,)`: `REACH` of them, if there are.
            history: `(m,)` rows of the user's items, most recent last.
            allowed: `(n_items,)`, the items that may be in the answer.

        Returns:
            `(n,)`: the candidates in the trees' order, then the rest of `rows` as it was; what the item table adds
            takes the last places. Ties keep the order of the candidates.
        """
        if len(rows) < 2:
            return rows
        described = self._features(user_row, user_vector, rows, scores, history, allowed)
        order = np.argsort(-self.predict(described.features), kind="stable")
        behind = rows[CANDIDATES:]
        added = described.rows[min(len(rows), CANDIDATES) :]
        return np.concatenate([described.rows[order], behind[~np.isin(behind, added)]])[: len(rows)]

    def predict(self, features: Floats) -> NDArray[np.float64]:
        """Return the scores `(n,)` of candidates described as `(n, n_features)`; only the order for a user matters."""
        # One thread: a request has a hundred rows, and threads that wait for each other are the tail of the latency.
        corrections = np.asarray(self._trees.predict(features, raw_score=True, num_threads=1), dtype=np.float64)
        return start_scores(features) + corrections


def _after(prefix: str, names: list[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."
