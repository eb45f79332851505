"""Early stopping by validation NDCG@10 of a fixed sample of users, smoothed over neighbouring looks."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.objective import Poll
from recsaas_assets.recommender.lightgcn.propagation import Embeddings
from recsaas_assets.recommender.lightgcn.user_share import UserShare, everybody
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg, recall
from recsaas_assets.recommender.metrics.scorers import VectorScorer

_BLOCK = 512


class ValidationProbe:
    """Validation metrics of vectors, on pairs of known users and items that the user had not seen in training."""

    def __init__(self, targets: Pairs, seen: sparse.csr_array, users: npt.NDArray[np.int32], share: UserShare) -> None:
        self._share = share
        self._targets, self._seen = share.pairs(targets), seen[share.rows]
        self._users = users[(users >= share.first) & (users < share.last)] - np.int32(share.first)
        self._allowed = np.bincount(seen.indices, minlength=seen.shape[1]) > 0

    @classmethod
    def of(cls, inputs: FitInputs, *, limit: int, share: UserShare | None = None) -> "ValidationProbe | None":
        """A probe over at most ``limit`` users; None when there is nobody to measure on."""
        train, validation, n_users, n_items = inputs.pairs, inputs.validation, inputs.n_users, inputs.n_items
        if validation is None:
            return None
        targets = validation.of_users(train.items_per_user(n_users) > 0).of_items(train.users_per_item(n_items) > 0)
        targets = targets.without(train, n_items)
        users = np.unique(targets.user_row)
        if len(users) == 0:
            return None
        if len(users) > limit:
            users = np.sort(np.random.default_rng(inputs.seed).choice(users, limit, replace=False))
        return cls(targets, train.csr(n_users, n_items), users, share or everybody(n_users))

    def measure(self, user_vectors: Vectors, item_vectors: Vectors, poll: Poll = lambda: None) -> dict[str, float]:
        """NDCG@10, which decides when to stop, and recall@20, which people want to see beside it.

        Means over the sampled users, by vectors of users (n_users, d) and items (n_items, d), with what a user had seen
        left out of the ranking; ``poll`` between blocks.
        """
        scorer = VectorScorer(user_vectors, item_vectors, self._allowed)
        ndcgs = recalls = 0.0
        for start in range(0, len(self._users), _BLOCK):
            poll()
            users = self._users[start : start + _BLOCK]
            ranked, _ = scorer.top_k(users, 20, self._seen)
            relevance = mark_relevant(users, ranked, self._targets, *self._seen.shape)
            ndcgs += float(ndcg(relevance, 10).sum())
            recalls += float(recall(relevance, 20).sum())
        ndcgs, recalls, count = self._share.total(ndcgs, recalls, len(self._users))
        return {"ndcg@10": ndcgs / count, "recall@20": recalls / count}


class EarlyStopping:
    """Keeps the parameters of the best look, where a look counts as the mean of itself and the one before."""

    def __init__(self, *, patience: int) -> None:
        self._patience = patience
        self.previous: float | None = None
        self.best_value = -np.inf
        self.bad_looks = 0
        self.best: tuple[int, Embeddings] | None = None

    def look(self, epoch: int, value: float, parameters: Embeddings) -> None:
        """Take in one measurement, with a copy of the parameters, (n_users, t) and (n_items, t), it was made at."""
        smoothed = value if self.previous is None else (value + self.previous) / 2
        self.previous = value
        if smoothed > self.best_value:
            self.best_value, self.bad_looks = smoothed, 0
            self.best = (epoch, parameters)
        else:
            self.bad_looks += 1

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` looks in a row brought nothing better."""
        return self.bad_looks >= self._patience
