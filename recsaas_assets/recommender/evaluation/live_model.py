"""The live release as a model to compare with: its stored vectors, or its recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue, ValidationError
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import binary_matrix
from recsaas_assets.recommender.data.arrays import Mask, Rows, Scores, Vectors
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.report import POPULARITY, LiveSummary
from recsaas_assets.recommender.item_models.choice import Recipe
from recsaas_assets.recommender.item_models.recipes import RECIPES, item_table_of
from recsaas_assets.recommender.item_models.table_scorer import TableScorer
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, parse_config
from recsaas_assets.recommender.metrics.scorers import ItemScorer, Scorer, VectorScorer
from resources.release.item_table import ItemTable

TABLE_RECIPE = "item_table"
"""Where the hyper-parameters of a release hold the recipe of its table."""


@dataclass(frozen=True, slots=True)
class DamagedRelease:
    """A live release that cannot be read, and why."""

    version: str
    problem: str


@dataclass(frozen=True, eq=False)
class LiveModel:
    """The model of the live release, in the release's own rows, as the gate compares with it.

    Attributes:
        algorithm: what it serves; "popularity" when no model does.
        hyperparameters: configuration, number of epochs and kind of start, as in the manifest.
        user_vectors: (n_users, d), zeros for a user without a vector.
        item_vectors: (n_items, d), zeros for an item without a vector.
        popularity: (n_items,), by which users without a vector are answered.
        events_until: time of the newest interaction it has seen.
        measured: whether its own gate had figures.
        second_stage: what its second stage added to its NDCG@10 when it was made; None without one.
        item_table: what answers instead of the vectors; None where they do.
    """

    version: str
    algorithm: str
    hyperparameters: dict[str, JsonValue]
    seed: int
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    user_vectors: Vectors
    item_vectors: Vectors
    popularity: npt.NDArray[np.float64]
    events_until: datetime | None = None
    measured: bool = True
    second_stage: float | None = None
    item_table: ItemTable | None = None

    @property
    def summary(self) -> LiveSummary:
        """The facts about it that the gate decides by."""
        return LiveSummary(
            version=self.version, algorithm=self.algorithm, measured=self.measured, second_stage=self.second_stage
        )

    @property
    def start(self) -> Literal["full", "incremental"]:
        """Whether it was trained from nothing or from the model before it."""
        return "incremental" if self.hyperparameters.get("start") == "incremental" else "full"

    @property
    def serves_popularity(self) -> bool:
        """Whether it answers everybody by popularity."""
        return self.algorithm == POPULARITY

    def recipe(self) -> tuple[ModelConfig, int] | None:
        """Configuration and number of epochs; None when this version of recsaas cannot read them."""
        fields = dict(self.hyperparameters)
        epochs = fields.pop("epochs", None)
        for each in ("start", TABLE_RECIPE):
            fields.pop(each, None)
        try:
            return (parse_config(fields), epochs) if isinstance(epochs, int) else None
        except ValidationError:
            return None

    def table_recipe(self) -> Recipe | None:
        """The recipe of its table; None when this version of recsaas cannot read it."""
        try:
            return RECIPES.validate_python(self.hyperparameters.get(TABLE_RECIPE))
        except ValidationError:
            return None

    def scorer(self, training_set: TrainingSet, known_items: Mask) -> LiveScorer:
        """Its answers in the rows of ``training_set``, over the items in ``known_items`` (n_items,).

        A table answers by what its users had when it was made: `before_live`.
        """
        rows = training_set.items.rows(self.item_ids)
        popularity = _into(rows, self.popularity, training_set.n_items)
        offered: Mask = known_items & _marked(rows, training_set.n_items)
        model, answered = self._answers(training_set, rows, offered)
        return LiveScorer(
            model=model,
            popular=ItemScorer(np.where(offered, popularity, -np.inf).astype(np.float32)),
            answered_by_model=answered & (not self.serves_popularity),
        )

    def _answers(self, training_set: TrainingSet, rows: Rows, offered: Mask) -> tuple[Scorer, Mask]:
        """The model or the table, and the users (n_users,) that it answers."""
        if self.item_table is not None:
            moved = _moved(self.item_table, rows, training_set.n_items)
            history = binary_matrix(training_set.before_live, training_set.n_users, training_set.n_items)
            known = _marked(training_set.users.rows(self.user_ids), training_set.n_users)
            return TableScorer(moved, history, offered), known & (np.diff(history.indptr) > 0)
        items = _into(rows, self.item_vectors, training_set.n_items)
        users = _into(training_set.users.rows(self.user_ids), self.user_vectors, training_set.n_users)
        with_vector = np.asarray(items.any(axis=1))
        return VectorScorer(users, items, offered & with_vector), np.asarray(users.any(axis=1))


@dataclass(frozen=True, eq=False)
class LiveScorer:
    """The model's list for the users it has a vector for, (n_users,) ``answered_by_model``; popularity for the rest."""

    model: Scorer
    popular: ItemScorer
    answered_by_model: Mask = field(repr=False)

    def top_k(self, user_rows: Rows, k: int, seen: sparse.csr_array | None) -> tuple[Rows, Scores]:
        """See `Scorer`."""
        rows, scores = self.popular.top_k(user_rows, k, seen)
        by_model = self.answered_by_model[user_rows]
        if by_model.any():
            rows[by_model], scores[by_model] = self.model.top_k(user_rows[by_model], k, seen)
        return rows, scores


def _into(rows: Rows, values: npt.NDArray[np.floating], n_rows: int) -> npt.NDArray[np.float32]:
    """``values`` moved to other rows; ids that the training set does not have (−1) are left out, new ones get 0."""
    moved = np.zeros((n_rows, *values.shape[1:]), dtype=np.float32)
    known = rows >= 0
    if len(values) == len(rows):  # a release that serves popularity may hold no user vectors
        moved[rows[known]] = values[known]
    return moved


def _moved(table: ItemTable, rows: Rows, n_items: int) -> ItemTable:
    """``table`` with item i in row ``rows[i]``; items that the training set does not have (−1) are left out."""
    own = np.repeat(rows, np.diff(table.indptr))
    other = rows[table.items]
    kept = (own >= 0) & (other >= 0)
    weights = sparse.csr_array((table.values[kept], (own[kept], other[kept])), shape=(n_items, n_items))
    weights.sort_indices()
    return item_table_of(weights, _into(rows, table.prior, n_items))


def _marked(rows: Rows, n_rows: int) -> Mask:
    marked = np.zeros(n_rows, dtype=bool)
    marked[rows[rows >= 0]] = True
    return marked
