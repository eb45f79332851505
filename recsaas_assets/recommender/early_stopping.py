"""When to stop: validation NDCG@10 of a fixed sample of users, smoothed over neighbouring looks."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.metrics import judge, ndcg
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.propagation import Embeddings
from recsaas_assets.recommender.scorers import VectorScorer

Vectors = npt.NDArray[np.float32]


class ValidationProbe:
    """NDCG@10 on validation pairs of known users and items that the user had not seen in training."""

    def __init__(self, targets: Pairs, seen: sparse.csr_array, users: npt.NDArray[np.int32]) -> None:
        self._targets, self._seen, self._users = targets, seen, users
        self._allowed = np.bincount(seen.indices, minlength=seen.shape[1]) > 0

    @classmethod
    def of(
        cls, validation: Pairs | None, train: Pairs, n_users: int, n_items: int, *, limit: int, seed: int
    ) -> "ValidationProbe | None":
        """A probe over at most ``limit`` users; None when there is nobody to measure on."""
        if validation is None:
            return None
        targets = validation.of_users(train.items_per_user(n_users) > 0).of_items(train.users_per_item(n_items) > 0)
        targets = targets.without(train, n_items)
        users = np.unique(targets.user_row)
        if len(users) == 0:
            return None
        if len(users) > limit:
            users = np.sort(np.random.default_rng(seed).choice(users, limit, replace=False))
        return cls(targets, train.csr(n_users, n_items), users)

    def ndcg_at_10(self, user_vectors: Vectors, item_vectors: Vectors) -> float:
        """Mean over the sampled users, with what they had seen left out of the ranking."""
        ranked, _ = VectorScorer(user_vectors, item_vectors, self._allowed).top_k(self._users, 10, self._seen)
        return float(ndcg(judge(self._users, ranked, self._targets, *self._seen.shape), 10).mean())


class EarlyStopping:
    """Keeps the parameters of the best look, where a look counts as the mean of itself and the one before."""

    def __init__(self, *, patience: int) -> None:
        self._patience = patience
        self._previous: float | None = None
        self._best_value = -np.inf
        self._bad_looks = 0
        self.best: tuple[int, Embeddings] | None = None

    def look(self, epoch: int, value: float, parameters: Embeddings) -> None:
        """Take in one measurement, with a copy of the parameters it was made at."""
        smoothed = value if self._previous is None else (value + self._previous) / 2
        self._previous = value
        if smoothed > self._best_value:
            self._best_value, self._bad_looks = smoothed, 0
            self.best = (epoch, parameters)
        else:
            self._bad_looks += 1

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` looks in a row brought nothing better."""
        return self._bad_looks >= self._patience
