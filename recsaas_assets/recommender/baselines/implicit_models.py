"""ALS and BPR of the `implicit` package, a development extra: yardsticks, never part of a release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.baselines.dense import DenseScorer, binary_matrix
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import NotReady


def implicit_installed() -> bool:
    """Whether the package is there."""
    return find_spec("implicit") is not None


@dataclass(frozen=True, slots=True)
class AlsOptions:
    """Hyper-parameters of ALS; `alpha` is the confidence in a pair."""

    factors: int = 64
    regularisation: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BprOptions:
    """Hyper-parameters of BPR matrix factorisation."""

    factors: int = 64
    learning_rate: float = 0.01
    regularisation: float = 0.01
    iterations: int = 100
    seed: int = 0


def implicit_als(pairs: Pairs, n_users: int, n_items: int, options: AlsOptions | None = None) -> DenseScorer:
    """Implicit-feedback ALS (Hu, Koren and Volinsky 2008) on binary pairs.

    Raises:
        NotReady: `implicit` is not installed.
    """
    options = options or AlsOptions()
    with _implicit():
        from implicit.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=options.factors,
            regularization=options.regularisation,
            alpha=options.alpha,
            iterations=options.iterations,
            random_state=options.seed,
        )
        return _fitted(model, pairs, n_users, n_items)


def implicit_bpr(pairs: Pairs, n_users: int, n_items: int, options: BprOptions | None = None) -> DenseScorer:
    """BPR matrix factorisation (Rendle et al. 2009) with uniform negatives.

    Raises:
        NotReady: `implicit` is not installed.
    """
    options = options or BprOptions()
    with _implicit():
        from implicit.bpr import BayesianPersonalizedRanking

        # Several threads update one model without locks: with one, the same seed gives the same model.
        model = BayesianPersonalizedRanking(
            factors=options.factors,
            learning_rate=options.learning_rate,
            regularization=options.regularisation,
            iterations=options.iterations,
            random_state=options.seed,
            num_threads=1,
        )
        return _fitted(model, pairs, n_users, n_items)


def _fitted(model: Any, pairs: Pairs, n_users: int, n_items: int) -> DenseScorer:
    # implicit warns at any other class of matrix, scipy's newer csr_array included.
    model.fit(sparse.csr_matrix(binary_matrix(pairs, n_users, n_items)), show_progress=False)
    users = torch.from_numpy(np.asarray(model.user_factors, dtype=np.float32))
    items = torch.from_numpy(np.asarray(model.item_factors, dtype=np.float32))

    def score(rows: Rows) -> torch.Tensor:
        return users[torch.from_numpy(rows.astype(np.int64))] @ items.T

    return DenseScorer.of(score, pairs, n_items)


@contextmanager
def _implicit() -> Iterator[None]:
    """One thread for BLAS, as implicit's own threads want it; without that it warns.

    Raises:
        NotReady: `implicit` is not installed.
    """
    if not implicit_installed():
        raise NotReady("ALS and BPR need the package implicit; install it with: pip install implicit")
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
