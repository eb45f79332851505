"""LightGCN against baselines on one data set: tuned on validation, fitted again, measured once on the test period."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsaas_assets.benchmarks.models.model_candidates import (
    RECENCY_READOUTS,
    Candidate,
    Configuration,
    baselines,
    draw,
    lightgcn_draws,
)
from recsaas_assets.recommender.baselines.dense import DenseScorer
from recsaas_assets.recommender.baselines.popularity import popularity_scorer, recent_popularity_scorer
from recsaas_assets.recommender.data.arrays import Values
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.evaluator import Evaluator
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.adapting import adapted
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, default_config, fit_model
from recsaas_assets.recommender.lifecycle.sequence_choice import adapted_sequence
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from resources.base.errors import TooLarge

DEFAULTS = "lightgcn"
TUNED = "lightgcn_tuned"
TWO_TOWER = "two_tower"
SEQUENCE = "sequence"
MAIN = "ndcg@10"

PerUser = dict[str, Values]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One model with the configuration that was best on validation.

    `readouts` counts the ways in which recent popularity was added to a fit and measured on validation; LightGCN's
    defaults choose among as many before their first fit. `seconds` is all of it: every configuration tried and the fit
    that was measured. `skipped` says why there are no figures.
    """

    model: str
    configurations: int
    chosen: dict[str, Any]
    validation: float
    seconds: float
    test: PerUser
    readouts: int = 0
    skipped: str = ""


class ModelContest:
    """All models on one training set. `budget` configurations are tried for each, the first being its defaults.

    The sequence model takes part with its defaults alone, and with `features` the two-tower model likewise.
    """

    def __init__(self, data: TrainingSet, *, budget: int, seed: int, features: FeatureHistory | None = None) -> None:
        self._data, self._budget, self._seed, self._features = data, budget, seed, features
        self._size = data.n_users, data.n_items
        self._validation = Evaluator(Holdout(data.train, data.validation, *self._size), seed=seed)
        self.test = Evaluator(Holdout.of_test(data), seed=seed)

    def rows(self) -> Iterator[Row]:
        """One row after the other, LightGCN with its untouched defaults first."""
        defaults = self.defaults()
        yield self._trained(DEFAULTS, [defaults])
        yield self._trained(TUNED, lightgcn_draws(defaults, self._budget, self._rng()))
        if self._features is not None:
            yield self._trained(TWO_TOWER, [default_config("two_tower", *self._size, len(self._data.full))])
        yield self._trained(SEQUENCE, [self._sequence_defaults()])
        yield self._fixed("popularity", lambda pairs, _: popularity_scorer(pairs, self._size[1]), [{}])
        half_lives = [{"half_life_days": days} for days in (5.0, 1.0, 2.0, 3.0, 7.0, 10.0, 14.0, 20.0, 30.0, 60.0)]
        yield self._fixed(
            "recent_popularity",
            lambda pairs, values: recent_popularity_scorer(pairs, self._size[1], **values),
            half_lives[: self._budget],
        )
        for candidate in baselines():
            yield from self._baseline(candidate)

    def defaults(self) -> ModelConfig:
        """The configuration that the product trains with by default, after its choice on validation."""
        return adapted(defaults_for(*self._size, len(self._data.full)), self._data, seed=self._seed)[0]

    def _sequence_defaults(self) -> ModelConfig:
        """The same for the sequence model."""
        start = default_config("sequence", *self._size, len(self._data.full))
        return adapted_sequence(start, self._data, seed=self._seed)

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)

    def _value(self, scorer: Scorer) -> float:
        return float(_per_user(self._validation, scorer)[MAIN].mean())

    def _trained(self, name: str, configurations: list[ModelConfig]) -> Row:
        started = time.perf_counter()
        best: tuple[float, ModelConfig, int] | None = None
        for config in configurations:
            result = self.search_fit(config)
            value = self._value(_scorer(result, self._data.train, self._size[1]))
            if best is None or value > best[0]:
                best = value, config, result.best_epoch
        assert best is not None
        value, config, epochs = best
        final = fit_model(
            FitInputs(self._data.before_test, *self._size, self._seed, stop_after=epochs),
            config,
            features=None if self._features is None else self._features.before_test,
        )
        test = _per_user(self.test, _scorer(final, self._data.before_test, self._size[1]))
        chosen = config.model_dump(mode="json") | {"epochs": epochs}
        return Row(name, len(configurations), chosen, value, time.perf_counter() - started, test)

    def search_fit(self, config: ModelConfig, on_epoch: Callable[[EpochProgress], None] | None = None) -> FitResult:
        """The fit on train that stops by itself on validation, as every training begins."""
        return fit_model(
            FitInputs(self._data.train, *self._size, self._seed, validation=self._data.validation),
            config,
            features=None if self._features is None else self._features.train,
            on_epoch=on_epoch,
        )

    def _fixed(
        self, name: str, make: Callable[[Pairs, Configuration], Scorer], configurations: list[Configuration]
    ) -> Row:
        started = time.perf_counter()
        values = [self._value(make(self._data.train, each)) for each in configurations]
        best = int(np.argmax(values))
        test = _per_user(self.test, make(self._data.before_test, configurations[best]))
        seconds = time.perf_counter() - started
        return Row(name, len(configurations), configurations[best], values[best], seconds, test)

    def _baseline(self, candidate: Candidate) -> Iterator[Row]:
        """The model as it is, and its two best fits with recent popularity in as many readouts as LightGCN looks at."""
        started = time.perf_counter()
        configurations = draw(candidate.start, candidate.space, self._budget, self._rng())
        best: list[tuple[float, Configuration, DenseScorer]] = []
        try:
            for values in configurations:
                scorer = candidate.fit(self._data.train, *self._size, values)
                best.append((self._value(scorer), values, scorer))
                best = sorted(best, key=lambda each: -each[0])[:2]
        except TooLarge as error:
            yield Row(candidate.name, 0, {}, 0.0, 0.0, {}, skipped=error.message)
            return
        history, tried = self._data.before_test, len(configurations)
        value, values, _ = best[0]
        test = _per_user(self.test, candidate.fit(history, *self._size, values))
        yield Row(candidate.name, tried, values, value, time.perf_counter() - started, test)
        recent = [
            (self._value(scorer.with_recency(self._data.train, self._size[1], **added)), values, added)
            for _, values, scorer in best
            for added in RECENCY_READOUTS
        ]
        value, values, added = max(recent, key=lambda each: each[0])
        scorer = candidate.fit(history, *self._size, values).with_recency(history, self._size[1], **added)
        chosen = values | {f"recency_{name}": each for name, each in added.items()}
        name, seconds = f"{candidate.name}+recency", time.perf_counter() - started
        yield Row(name, tried, chosen, value, seconds, _per_user(self.test, scorer), readouts=len(recent))


def _scorer(result: FitResult, pairs: Pairs, n_items: int) -> VectorScorer:
    return VectorScorer(result.vectors.users, result.vectors.items, pairs.users_per_item(n_items) > 0)


def _per_user(evaluator: Evaluator, scorer: Scorer) -> PerUser:
    return evaluator.quality(evaluator.rank(scorer, evaluator.holdout.targets))
