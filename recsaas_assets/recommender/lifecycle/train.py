"""The fits of one training run, one after the other; see `trained_model.py` for what each of them is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from recsaas_assets.recommender.data.content import ItemContent
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory, SplitPart
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.compute import Compute
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.adapting import adapted
from recsaas_assets.recommender.lifecycle.cold_items import ContentChoice, with_cold_items
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model
from recsaas_assets.recommender.lifecycle.sequence_choice import adapted_sequence
from recsaas_assets.recommender.lifecycle.trained_model import (
    BEFORE_LIVE,
    HOLDOUT,
    RELEASE,
    SEARCH,
    TrainedModel,
)
from recsaas_assets.recommender.lifecycle.warm_start import (
    PreviousModel,
    StartReport,
    going_on_from,
    incremental,
    start_of,
)
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult
from recsaas_assets.recommender.metrics.holdout import is_comparable

OnEpoch = Callable[[str, EpochProgress], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingInputs:
    """Everything that the fits of one run read.

    Attributes:
        features: for the model types that read them.
        content: of all items, from which those without interactions get vectors (see `cold_items.py`).
        previous: the model to start from, where that is possible, or the reason why there is none; None: a full fit.
    """

    training_set: TrainingSet
    features: FeatureHistory | None = None
    content: ItemContent | None = None
    previous: PreviousModel | str | None = None


def train(
    inputs: TrainingInputs,
    config: ModelConfig,
    *,
    seed: int,
    compute: Compute | None = None,
    on_epoch: OnEpoch | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainedModel:
    """Run the fits; `on_epoch` is told the fit's name and its progress.

    Args:
        compute: the device, the number of processes, and where a long fit keeps its state.

    Raises:
        InvalidInput: there is no pair to fit on.
        TrainingCancelled: `should_stop` said so.
    """
    training_set, previous = inputs.training_set, inputs.previous
    before = going_on_from(training_set, previous)
    config, choice = adapted(config, training_set, seed=seed, previous=before, should_stop=should_stop)
    config = adapted_sequence(config, training_set, seed=seed, should_stop=should_stop)
    start, earlier = start_of(training_set, config, previous)
    fits = _Fits(inputs, config, seed, earlier, compute, on_epoch, should_stop)
    fits.run_all()
    return replace(fits.model(start), choice=choice)


@dataclass(eq=False)
class _Fits:
    """The fits that were run so far, by name and in order; each of them starts from `earlier` if it can."""

    inputs: TrainingInputs
    config: ModelConfig
    seed: int
    earlier: PreviousModel | None
    compute: Compute | None
    on_epoch: OnEpoch | None
    should_stop: Callable[[], bool] | None
    done: dict[str, FitResult] = field(default_factory=dict)
    cold_choice: ContentChoice | None = None
    """What cold items get their vectors from, found on the first fit."""

    def run_all(self) -> None:
        """Run every fit whose part of the split holds pairs, the later ones for as long as the first found best."""
        data, split = self.inputs.training_set, self.inputs.training_set.split
        as_long: int | None = None
        if split.evaluable and len(data.train):
            search = self._run(SEARCH, "train", cutoff=split.validation_start, validation=data.validation)
            as_long = search.best_epoch
        if split.evaluable and len(data.before_test):
            holdout = self._run(HOLDOUT, "before_test", cutoff=split.test_start, stop_after=as_long)
            as_long = as_long or holdout.best_epoch
            if is_comparable(data):
                self._run(BEFORE_LIVE, "before_live", cutoff=split.live_until, stop_after=as_long)
        self._run(RELEASE, "full", stop_after=as_long)

    def model(self, start: StartReport) -> TrainedModel:
        """The trained model that the fits together give."""
        data, config, earlier = self.inputs.training_set, self.config, self.earlier
        first = next(iter(self.done.values()))
        vectors = {name: fitted.vectors for name, fitted in self.done.items()}
        nothing = ModelVectors.nothing(data.n_users, data.n_items, dim=config.dim, learned_dim=config.learned_dim)
        return TrainedModel(
            config=config,
            seed=self.seed,
            epochs=first.best_epoch if earlier is None else earlier.epochs,
            seconds=sum(each.seconds for each in self.done.values()),
            fingerprint=data.fingerprint,
            holdout=vectors.get(HOLDOUT, nothing),
            release=vectors[RELEASE],
            history=first.history,
            before_live=vectors.get(BEFORE_LIVE),
            live_fingerprint=data.live_fingerprint if BEFORE_LIVE in vectors else "",
            search=vectors.get(SEARCH),
            start=start.model_copy(update={"epochs": first.best_epoch}),
            encoder=self.done[RELEASE].encoder,
            cold_items=self.cold_choice,
            users=data.users,
            items=data.items,
            split=data.split,
        )

    def _run(
        self,
        name: str,
        part: SplitPart | Literal["before_live"],
        *,
        cutoff: datetime | None = None,
        validation: Pairs | None = None,
        stop_after: int | None = None,
    ) -> FitResult:
        """Fit on `part`; an incremental fit starts from one that has seen nothing from `cutoff` on."""
        data, features, earlier = self.inputs.training_set, self.inputs.features, self.earlier
        pairs = data.parts[part]
        known = None if earlier is None else earlier.newest_before(cutoff)
        initial = None if earlier is None or known is None else earlier.initial(known, data, pairs)
        if earlier is not None and initial is None:
            stop_after = earlier.epochs
        fitted = fit_model(
            FitInputs(pairs, data.n_users, data.n_items, self.seed, validation, stop_after, initial),
            self.config if initial is None else incremental(self.config),
            # Never later than what is measured: the targets since the live release lie in the test period.
            features=None if features is None else features.of("before_test" if part == "before_live" else part),
            compute=self.compute,
            on_epoch=self._told_as(name),
            should_stop=self.should_stop,
        )
        if self.inputs.content is not None:
            vectors, self.cold_choice = with_cold_items(
                fitted.vectors, pairs, self.inputs.content, seed=self.seed, choice=self.cold_choice
            )
            fitted = replace(fitted, vectors=vectors)
        self.done[name] = fitted
        return fitted

    def _told_as(self, name: str) -> Callable[[EpochProgress], None] | None:
        told = self.on_epoch
        return None if told is None else lambda progress: told(name, progress)
