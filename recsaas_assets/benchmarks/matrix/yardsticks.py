"""The baselines of the matrix: each tuned on the product's own validation period, and fitted on all that it had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from recsaas_assets.benchmarks.matrix.figures import quality
from recsaas_assets.benchmarks.matrix.served import DEPTH
from recsaas_assets.benchmarks.models.model_candidates import Candidate, Configuration, baselines, draw
from recsaas_assets.recommender.baselines.dense import DenseScorer
from recsaas_assets.recommender.baselines.popularity import popularity_scorer, recent_popularity_scorer
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.trainer import fit
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from resources.base.errors import TooLarge
from resources.tenants.model_configs import LightGCNConfig

_USERS = 1_000
"""Users of the validation period on whom configurations are compared."""
_HALF_LIVES = (5.0, 20.0, 60.0)
_READOUTS: tuple[Configuration, ...] = tuple(
    {"weight": weight, "half_life_days": half_life} for weight in (0.15, 0.45, 1.0) for half_life in _HALF_LIVES
)
STUDY = LightGCNConfig(
    steps=60,
    temperature=0.1,
    layer_weights=(0.1, 0.3, 0.6),
    negatives=512,
    negative_exponent=0.5,
    learning_rate=0.1,
    half_life_days=None,
    edge_weight="binary",
    item_readout_exponent=0.5,
    popularity_weight=0.0,
)
"""One untuned configuration for every set: what LightGCN gives a data scientist who has an afternoon."""


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """A baseline's lists for the users that were asked for, what was chosen, and its seconds; or why there is none."""

    name: str
    lists: Rows | None
    chosen: Configuration
    seconds: float
    left_out: str = ""


class Yardsticks:
    """The baselines on one training set; `budget` configurations are tried for each, the first being its own start."""

    def __init__(self, data: TrainingSet, users: Rows, *, budget: int, seed: int) -> None:
        self._data, self._users, self._budget, self._seed = data, users, budget, seed
        self._size = data.n_users, data.n_items
        self._validation = Holdout(data.train, data.validation, *self._size)
        taught = np.unique(self._validation.targets.user_row).astype(np.int32)
        if len(taught) > _USERS:
            taught = np.sort(np.random.default_rng(seed).choice(taught, _USERS, replace=False))
        self._taught = taught

    def all(self) -> Iterator[Yardstick]:
        """One after the other, the cheap ones first."""
        n_items = self._size[1]
        yield self._chosen("popularity", lambda pairs, _: popularity_scorer(pairs, n_items), [{}])
        yield self._chosen(
            "recent_popularity",
            lambda pairs, values: recent_popularity_scorer(pairs, n_items, **values),
            [{"half_life_days": days} for days in _HALF_LIVES],
        )
        yield self._study()
        for candidate in baselines():
            yield self._personal(candidate)

    def _study(self) -> Yardstick:
        started = time.perf_counter()
        found = fit(FitInputs(self._data.full, *self._size, self._seed), STUDY).vectors
        scorer = VectorScorer(found.users, found.items, self._data.full.users_per_item(self._size[1]) > 0)
        return Yardstick("study_lightgcn", self._lists(scorer), {"steps": 60}, time.perf_counter() - started)

    def _chosen(
        self, name: str, make: Callable[[Pairs, Configuration], Scorer], configurations: list[Configuration]
    ) -> Yardstick:
        started = time.perf_counter()
        best = max(configurations, key=lambda each: self._value(make(self._data.train, each)))
        lists = self._lists(make(self._data.full, best))
        return Yardstick(name, lists, best, time.perf_counter() - started)

    def _personal(self, candidate: Candidate) -> Yardstick:
        """The best configuration, with the best addition of recent popularity to it, or none."""
        started = time.perf_counter()
        best: tuple[float, Configuration, DenseScorer] | None = None
        try:
            for values in self._configurations(candidate):
                scorer = candidate.fit(self._data.train, *self._size, values)
                value = self._value(scorer)
                if best is None or value > best[0]:
                    best = value, values, scorer
            assert best is not None
            added = self._readout(best[0], best[2])
            values = best[1]
            del best, scorer  # of many items, two of them would not fit
            final = candidate.fit(self._data.full, *self._size, values)
        except TooLarge as error:
            return Yardstick(candidate.name, None, {}, time.perf_counter() - started, error.message)
        if added is not None:
            final = final.with_recency(self._data.full, self._size[1], **added)
        chosen = values | {f"recency_{name}": each for name, each in (added or {}).items()}
        return Yardstick(candidate.name, self._lists(final), chosen, time.perf_counter() - started)

    def _configurations(self, candidate: Candidate) -> list[Configuration]:
        """The start and others drawn at random; the start alone where nothing can tell them apart."""
        if len(self._taught) == 0:
            return [candidate.start]
        return draw(candidate.start, candidate.space, self._budget, np.random.default_rng(self._seed))

    def _readout(self, plain: float, scorer: DenseScorer) -> Configuration | None:
        """The recent popularity to add; None where nothing is better without."""
        if len(self._taught) == 0:
            return None
        train, n_items = self._data.train, self._size[1]
        values = [self._value(scorer.with_recency(train, n_items, **each)) for each in _READOUTS]
        best = int(np.argmax(values))
        return _READOUTS[best] if values[best] > plain else None

    def _value(self, scorer: Scorer) -> float:
        """NDCG@10 on the validation period; 0 where there is none."""
        if len(self._taught) == 0:
            return 0.0
        ranked, _ = scorer.top_k(self._taught, DEPTH, self._validation.seen)
        return float(quality(self._validation, self._taught, ranked)["ndcg@10"].mean())

    def _lists(self, scorer: Scorer) -> Rows:
        seen = self._data.full.csr(*self._size)
        return scorer.top_k(self._users, DEPTH, seen)[0]
