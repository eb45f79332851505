"""What leads from pairs to a table: the type of item–item model and its hyper-parameters."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import binary_matrix
from recsaas_assets.recommender.baselines.popularity import recent_popularity
from recsaas_assets.recommender.data.arrays import Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.ease import ease_weights
from recsaas_assets.recommender.item_models.item_knn import knn_weights
from recsaas_assets.recommender.item_models.weights import ENTRIES
from resources.release.item_table import ItemTable


class _TableRecipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    popularity_weight: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Of log(1 + recent popularity) in the prior, in standard deviations of a user's scores."""
    popularity_half_life_days: float = Field(default=20.0, gt=0, allow_inf_nan=False)

    def prior(self, pairs: Pairs, n_items: int) -> Scores:
        """The same for everybody: (n_items,) float32."""
        recent = recent_popularity(pairs, n_items, self.popularity_half_life_days)
        return (np.log1p(recent) * np.float32(self.popularity_weight)).astype(np.float32)

    def weights(self, history: sparse.csr_array) -> sparse.csr_array:
        """Weights between the items of `history`, ones, (n_users, n_items)."""
        raise NotImplementedError

    def table(self, pairs: Pairs, n_users: int, n_items: int) -> ItemTable:
        """Fit on `pairs`.

        Raises:
            TooLarge: there is no time for so many users, items and pairs.
        """
        weights = self.weights(binary_matrix(pairs, n_users, n_items))
        return item_table_of(weights, self.prior(pairs, n_items))


class KnnRecipe(_TableRecipe):
    """Item-kNN; see `knn_weights`."""

    kind: Literal["item_knn"] = "item_knn"
    neighbours: int = Field(default=ENTRIES, ge=1, le=ENTRIES)
    shrinkage: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    exponent: float = Field(default=0.5, ge=0, le=1)

    def weights(self, history: sparse.csr_array) -> sparse.csr_array:
        """See `knn_weights`."""
        return knn_weights(history, neighbours=self.neighbours, shrinkage=self.shrinkage, exponent=self.exponent)


class EaseRecipe(_TableRecipe):
    """EASE; see `ease_weights`."""

    kind: Literal["ease"] = "ease"
    regularisation: float = Field(default=200.0, gt=0, allow_inf_nan=False)

    def weights(self, history: sparse.csr_array) -> sparse.csr_array:
        """See `ease_weights`."""
        return ease_weights(history, regularisation=self.regularisation)


TableRecipe = Annotated[KnnRecipe | EaseRecipe, Field(discriminator="kind")]
TableKind = Literal["item_knn", "ease"]
RECIPES: TypeAdapter[KnnRecipe | EaseRecipe] = TypeAdapter(TableRecipe)
"""Reads a recipe of either kind."""


def item_table_of(weights: sparse.csr_array, prior: Scores) -> ItemTable:
    """The weights (n_items, n_items), columns rising, as a table with this prior (n_items,)."""
    return ItemTable(
        indptr=weights.indptr.astype(np.int64),
        items=weights.indices.astype(np.int32),
        values=weights.data.astype(np.float32),
        prior=prior,
    )
