"""The first stage of one fit as the second one sees it, and both together as a scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Floats, Mask, Rows, Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from recsaas_assets.recommender.second_stage.sides import Sides
from resources.ranker.second_stage.candidate_features import REACH, CandidateFeatures, Described
from resources.ranker.second_stage.reordering import SecondStage
from resources.release.item_table import ItemTable


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What the second stage may know at one time of the split.

    Attributes:
        vectors: of the fit on ``pairs``.
        pairs: what had happened until then.
        sides: features of users and items at that time.
        table: what went with what until then; None: candidates of the vectors alone.
    """

    vectors: ModelVectors
    pairs: Pairs
    sides: Sides
    table: ItemTable | None


class Retrieval:
    """Exact inner products over the items that the fit has learned."""

    def __init__(self, past: Past, taste_dimensions: int) -> None:
        vectors, history = past.vectors, past.pairs
        self._learned = history.users_per_item(len(vectors.items)) > 0
        self._past, self._taste_dimensions = past, taste_dimensions
        self.scorer = VectorScorer(vectors.users, vectors.items, self._learned)
        order = np.lexsort((history.item_row, -history.age_days, history.user_row))
        self._items = history.item_row[order]
        self._ends = np.searchsorted(history.user_row, np.arange(len(vectors.users) + 1))
        self.describe = CandidateFeatures(
            item_vectors=vectors.items,
            taste_dimensions=taste_dimensions,
            users=past.sides.users,
            items=past.sides.items,
            user_names=past.sides.user_names,
            item_names=past.sides.item_names,
            table=past.table,
        )

    def found(
        self, users: Rows, k: int, seen: sparse.csr_array | None
    ) -> Iterator[tuple[int, Rows, npt.NDArray[np.float64]]]:
        """For each of ``users`` (n,): its row, the best item rows, at most ``k``, and their inner products."""
        for user, rows, scores in zip(users.tolist(), *self.scorer.top_k(users, k, seen), strict=True):
            n = int((rows >= 0).sum())
            yield user, rows[:n], scores[:n].astype(np.float64)

    def candidates(self, users: Rows, seen: sparse.csr_array | None) -> Iterator[tuple[int, Described]]:
        """For each of ``users`` (n,): its row, and what the trees are to put in order."""
        for user, rows, scores in self.found(users, REACH, seen):
            yield user, self.describe(*self._of(user, rows, scores, seen))

    def order(
        self, stage: SecondStage, user: int, rows: Rows, scores: npt.NDArray[np.float64], seen: sparse.csr_array | None
    ) -> Rows:
        """What ``stage`` makes of a user's best ``rows`` (n,), which have ``scores`` (n,)."""
        return stage.order(*self._of(user, rows, scores, seen))

    def _of(
        self, user: int, rows: Rows, scores: npt.NDArray[np.float64], seen: sparse.csr_array | None
    ) -> tuple[int, Floats, Rows, npt.NDArray[np.float64], Rows, Mask]:
        allowed = self._learned.copy()
        if seen is not None:
            allowed[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
        history = self._items[self._ends[user] : self._ends[user + 1]]
        return user, self._past.vectors.users[user], rows, scores, history, allowed

    def with_trees(self, trees: bytes) -> SecondStageScorer:
        """This retrieval followed by trees in LightGBM's text form."""
        past = self._past
        stage = SecondStage(
            trees,
            item_vectors=past.vectors.items,
            taste_dimensions=self._taste_dimensions,
            users=past.sides.users,
            items=past.sides.items,
            name="the second stage in training",
            table=past.table,
        )
        return SecondStageScorer(self, stage)


@dataclass(frozen=True, eq=False)
class SecondStageScorer:
    """The retrieval's candidates in the order of the second stage, as a release with one answers."""

    retrieval: Retrieval
    stage: SecondStage

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`. The scores are those of the retrieval by place: they fall, and belong to the list."""
        ranked = np.full((len(user_rows), k), -1, dtype=np.int32)
        falling = np.full((len(user_rows), k), -np.inf, dtype=np.float32)
        found = self.retrieval.found(user_rows, max(k, REACH), seen)
        for place, (user, rows, scores) in enumerate(found):
            n = min(k, len(rows))
            ranked[place, :n] = self.retrieval.order(self.stage, user, rows, scores, seen)[:n]
            falling[place, :n] = scores[:n]
        return ranked, falling
