"""The first stage of one fit as the second one sees it, and both together as a scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Floats, Rows, Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from recsaas_assets.recommender.second_stage.sides import Sides
from resources.ranker.second_stage import CANDIDATES, CandidateFeatures, SecondStage


class Retrieval:
    """Exact inner products over the items that the fit has learned.

    ``history`` are the pairs that the fit has seen, and ``sides`` the features of the same time.
    """

    def __init__(self, vectors: ModelVectors, history: Pairs, sides: Sides, taste_dimensions: int) -> None:
        learned = history.users_per_item(len(vectors.items)) > 0
        self._vectors = vectors
        self.scorer = VectorScorer(vectors.users, vectors.items, learned)
        order = np.lexsort((history.item_row, -history.age_days, history.user_row))
        self._items = history.item_row[order]
        self._ends = np.searchsorted(history.user_row, np.arange(len(vectors.users) + 1))
        self._sides, self._taste_dimensions = sides, taste_dimensions
        self.describe = CandidateFeatures(
            item_vectors=vectors.items,
            taste_dimensions=taste_dimensions,
            users=sides.users,
            items=sides.items,
            user_names=sides.user_names,
            item_names=sides.item_names,
        )

    def candidates(
        self, users: Rows, k: int, seen: sparse.csr_array | None
    ) -> Iterator[tuple[int, Rows, npt.NDArray[np.float64]]]:
        """For each of ``users`` (n,): its row, the best item rows, at most ``k``, and their inner products."""
        for user, rows, scores in zip(users.tolist(), *self.scorer.top_k(users, k, seen), strict=True):
            n = int((rows >= 0).sum())
            yield user, rows[:n], scores[:n].astype(np.float64)

    def history(self, user: int) -> Rows:
        """The user's item rows, most recent last."""
        return self._items[self._ends[user] : self._ends[user + 1]]

    def describe_candidates(self, user: int, rows: Rows, scores: npt.NDArray[np.float64]) -> Floats:
        """Features of a user's candidates, shape (n, n_features)."""
        return self.describe(user, self._vectors.users[user], rows, scores, self.history(user))

    def order(self, stage: SecondStage, user: int, rows: Rows, scores: npt.NDArray[np.float64]) -> Rows:
        """A user's candidates ``rows`` (n,), which have ``scores`` (n,), in the order of ``stage``."""
        return stage.order(user, self._vectors.users[user], rows, scores, self.history(user))

    def with_trees(self, trees: bytes) -> SecondStageScorer:
        """This retrieval followed by trees in LightGBM's text form."""
        stage = SecondStage(
            trees,
            item_vectors=self._vectors.items,
            taste_dimensions=self._taste_dimensions,
            users=self._sides.users,
            items=self._sides.items,
            name="the second stage in training",
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
        found = self.retrieval.candidates(user_rows, max(k, CANDIDATES), seen)
        for place, (user, rows, scores) in enumerate(found):
            n = min(k, len(rows))
            ranked[place, :n] = self.retrieval.order(self.stage, user, rows, scores)[:n]
            falling[place, :n] = scores[:n]
        return ranked, falling
