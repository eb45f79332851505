"""Item-kNN and EASE as scorers that benchmarks tune, as they are in the papers: without a prior, EASE hardly cut."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import DenseScorer, binary_matrix
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.ease import ease_weights
from recsaas_assets.recommender.item_models.item_knn import knn_weights
from recsaas_assets.recommender.item_models.table_scorer import summed_weights
from recsaas_assets.recommender.item_models.weights import ENTRIES

EASE_ENTRIES = 2_000
"""What a row of the EASE of a benchmark holds at most."""


def item_knn(
    pairs: Pairs, n_users: int, n_items: int, *, neighbours: int = ENTRIES, shrinkage: float = 0.0
) -> DenseScorer:
    """Cosine item-kNN: score = Σ over the user's items of their cosines; see `knn_weights`."""
    history = binary_matrix(pairs, n_users, n_items)
    return _scorer(knn_weights(history, neighbours=neighbours, shrinkage=shrinkage), history, pairs)


def ease(pairs: Pairs, n_users: int, n_items: int, *, regularisation: float = 500.0) -> DenseScorer:
    """EASE; see `ease_weights`.

    Raises:
        TooLarge: the time grows with the cube of the users or items, whichever are fewer, and these are too many.
    """
    history = binary_matrix(pairs, n_users, n_items)
    weights = ease_weights(history, regularisation=regularisation, entries=min(n_items, EASE_ENTRIES))
    return _scorer(weights, history, pairs)


def _scorer(weights: sparse.csr_array, history: sparse.csr_array, pairs: Pairs) -> DenseScorer:
    return DenseScorer.of(lambda rows: summed_weights(history, weights, np.asarray(rows)), pairs, weights.shape[1])
