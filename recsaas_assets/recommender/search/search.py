"""Hyper-parameter search on validation NDCG@10: tree-structured Parzen estimators (Bergstra et al. 2011) by Optuna.

Trial 0 is the configuration that the search starts from. Another one replaces it only when it is clearly ahead, user by
user: the best of many looks at a small validation period is ahead by luck. The test period is never looked at. Every
trial is fitted with the same seed, and is given up when its validation NDCG@10 falls below the median of the earlier
trials at the same epoch (Golovin et al. 2017, section 3.2.2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue
from upath import UPath

from recsaas_assets.recommender.choice.validation_users import ValidationUsers, clearly_ahead
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.data.vectors import Diverged
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model, parse_config
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, TrainingCancelled
from recsaas_assets.recommender.search.search_result import (
    Question,
    SearchResult,
    Study,
    Trial,
    TrialComparison,
)
from recsaas_assets.recommender.search.search_space import (
    Hyperparameters,
    Space,
    decode,
    encode,
    space_of,
)
from resources.base.errors import InvalidInput

if TYPE_CHECKING:
    import optuna

_RANDOM_TRIALS = 8
_PRUNE_AFTER_TRIALS = 4
_PRUNE_FROM_EPOCH = 15
_USERS = 5000

Prune = Callable[[int, float], bool]
"""Whether to give a trial up, asked with an epoch and its validation NDCG@10."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The search ends when either is used up; both count what a resumed search had done before."""

    trials: int
    minutes: float


@dataclass(frozen=True, slots=True, eq=False)
class SearchTask:
    """One search: its data, the configuration to start from, and its budget.

    Attributes:
        config: the configuration that the search starts from.
        seed: of every fit, and of the draws.
        fixed: the tenant's own hyper-parameters, which are left alone.
        features: for the model types that read them.
    """

    data: TrainingSet
    config: ModelConfig
    seed: int
    budget: Budget
    fixed: dict[str, JsonValue] = field(default_factory=dict)
    features: FeatureHistory | None = None

    @property
    def start(self) -> Hyperparameters:
        """All fields of the configuration that the search starts from."""
        return self.config.model_dump(mode="json")

    def fit(
        self,
        hyperparameters: Hyperparameters,
        *,
        stop_after: int | None = None,
        on_epoch: Callable[[EpochProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> FitResult:
        """Fit on train with these hyper-parameters: for `stop_after` epochs, or until validation says stop."""
        data = self.data
        validation = data.validation if stop_after is None else None
        return fit_model(
            FitInputs(data.train, data.n_users, data.n_items, self.seed, validation=validation, stop_after=stop_after),
            parse_config({**self.start, **hyperparameters}),
            features=None if self.features is None else self.features.train,
            on_epoch=on_epoch,
            should_stop=should_stop,
        )


class _GivenUp(Exception):
    """Leaves a fit that is not worth going on with; its message is the state of the trial."""


def search(
    task: SearchTask,
    store: UPath,
    *,
    on_trial: Callable[[Trial, Study], None] | None = None,
    on_epoch: Callable[[int, EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[SearchResult, Study]:
    """Look for a better configuration than that of `task`, and keep every trial in the folder `store`.

    A search that was killed or cancelled goes on where it was: the trials that follow are the ones that would have
    followed, as each draws from a generator of its own number. The same question asked again answers at once.

    Args:
        on_trial: told each new trial, and the study with it.
        on_epoch: told the number of the trial and its progress.

    Raises:
        InvalidInput: there is no validation period, nobody in it to measure on, or the start diverges.
        TrainingCancelled: `should_stop` said so. What was finished stays.
    """
    data = task.data
    if not data.split.evaluable or len(data.train) == 0:
        raise _nothing_to_search_on(data.split.reason or "there is no pair before the validation period")
    running = _Search(task, store, on_epoch, should_stop or _never)
    running.run_trials(on_trial)
    running.compare_best()
    result = running.result()
    result.save(store)
    return result, running.study


class _Search:
    """A search that is going on: its study grows by a trial at a time, and is stored after each."""

    def __init__(
        self,
        task: SearchTask,
        store: UPath,
        on_epoch: Callable[[int, EpochProgress], None] | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._task, self._store, self._on_epoch, self._should_stop = task, store, on_epoch, should_stop
        space = space_of(task.config, task.fixed)
        self.study = Study.load(
            store,
            Question(
                fingerprint=task.data.fingerprint, config=task.start, searched=tuple(sorted(space)), seed=task.seed
            ),
        )
        self._sampler = _Sampler(space, task.seed, self.study)
        self._deadline = time.monotonic() + task.budget.minutes * 60 - self.study.seconds

    def run_trials(self, on_trial: Callable[[Trial, Study], None] | None) -> None:
        """Try one configuration after the other until the budget is used up; the first is tried in any case."""
        budget = self._task.budget
        while len(self.study.trials) < budget.trials and not (self.study.trials and self._out_of_time()):
            number = len(self.study.trials)
            try:
                trial = self._sampler.trial(number, self._task.start, self._measure)
            except TrainingCancelled:
                if self._out_of_time() and not self._should_stop():
                    break
                raise
            if number == 0:
                _require_start(trial)
            self._keep(self.study.model_copy(update={"trials": (*self.study.trials, trial)}))
            if on_trial is not None:
                on_trial(trial, self.study)

    def compare_best(self) -> None:
        """Fit the best trial and the first one again, unless that was done, and keep whether the best is ahead."""
        best, known = self.study.best(), self.study.verdict
        if best.number > 0 and (known is None or known.trial != best.number):
            verdict = TrialComparison(trial=best.number, clear=self._is_clear(best))
            self._keep(self.study.model_copy(update={"verdict": verdict}))

    def result(self) -> SearchResult:
        """The best trial if it is clearly ahead, or else the first one."""
        task, study = self._task, self.study
        ahead = study.verdict is not None and study.verdict.clear
        best = study.best() if ahead else study.trials[0]
        return SearchResult(
            model_type=task.config.model_type,
            hyperparameters=best.hyperparameters if best.number > 0 else {},
            fixed=task.fixed,
            ndcg_at_10=best.ndcg_at_10 or 0.0,
            best_seen_ndcg_at_10=study.best().ndcg_at_10 or 0.0,
            default_ndcg_at_10=study.trials[0].ndcg_at_10 or 0.0,
            trials=len(study.trials),
            seconds=round(study.seconds, 2),
            ended_by="trials" if len(study.trials) >= task.budget.trials else "minutes",
            seed=task.seed,
            fingerprint=task.data.fingerprint,
            n_users=task.data.n_users,
            n_items=task.data.n_items,
            n_pairs=len(task.data.full),
        )

    def _measure(self, number: int, hyperparameters: Hyperparameters, prune: Prune) -> Trial:
        """Fit one configuration on train and look at it on validation while it is fitted."""
        started = time.perf_counter()
        looks = _Looks(prune)

        def note(progress: EpochProgress) -> None:
            if self._on_epoch is not None:
                self._on_epoch(number, progress)
            looks.note(progress)

        def stop() -> bool:
            # The first trial is always finished: without it there is nothing to compare with.
            return self._should_stop() or (number > 0 and self._out_of_time())

        state = "finished"
        try:
            self._task.fit(hyperparameters, on_epoch=note, should_stop=stop)
        except _GivenUp as reason:
            state = str(reason)
        except Diverged:
            state = "failed"
        epochs, value = looks.best()
        return Trial.model_validate(
            {
                "number": number,
                "state": state,
                "hyperparameters": hyperparameters,
                "ndcg_at_10": value if state == "finished" else None,
                "looks": looks.values,
                "epochs": epochs,
                "seconds": time.perf_counter() - started,
            }
        )

    def _is_clear(self, best: Trial) -> bool:
        """Fit the trial and the first one again, for as long as was best, and compare them user by user."""
        users = ValidationUsers.of(self._task.data, self._task.seed, limit=_USERS)
        values = []
        for trial in (best, self.study.trials[0]):
            fitted = self._task.fit(trial.hyperparameters, stop_after=trial.epochs, should_stop=self._should_stop)
            values.append(users.ndcg_at_10(fitted.vectors.users, fitted.vectors.items))
        return clearly_ahead(values[0], values[1])

    def _keep(self, study: Study) -> None:
        self.study = study
        study.save(self._store)

    def _out_of_time(self) -> bool:
        return time.monotonic() >= self._deadline


class _Looks:
    """Epoch and validation NDCG@10 of every look at one trial, which may give the trial up."""

    def __init__(self, prune: Prune) -> None:
        self._prune = prune
        self.values: list[tuple[int, float]] = []

    def note(self, progress: EpochProgress) -> None:
        """Take in one epoch.

        Raises:
            _GivenUp: the trial is not worth going on with.
        """
        value = progress.metrics.get("ndcg@10")
        if value is not None:
            self.values.append((progress.epoch, value))
        if not math.isfinite(progress.loss):
            raise _GivenUp("failed")
        if value is not None and self._prune(progress.epoch, value):
            raise _GivenUp("pruned")

    def best(self) -> tuple[int, float | None]:
        """Epoch and value of the best look, each taken as the mean of itself and the one before, as in a fit."""
        best_epoch, best = 0, None
        for place, (epoch, value) in enumerate(self.values):
            smoothed = value if place == 0 else (value + self.values[place - 1][1]) / 2
            if best is None or smoothed > best:
                best_epoch, best = epoch, smoothed
        return best_epoch, best


def _never() -> bool:
    return False


def _require_start(trial: Trial) -> None:
    """Refuse to go on from a first trial that nothing can be compared with."""
    if trial.state == "failed":
        raise InvalidInput("The configuration that the search starts from diverges; lower its learning_rate.")
    if trial.ndcg_at_10 is None:
        raise _nothing_to_search_on("no user of the validation period can be measured")


def _nothing_to_search_on(reason: str) -> InvalidInput:
    return InvalidInput(
        f"There is nothing to search on: {reason.rstrip('.')}. Upload interactions that reach over a longer time and "
        "run the pipeline; until then runs train with the defaults."
    )


class _Sampler:
    """Optuna behind two questions: what to try next, and whether to give a trial up."""

    def __init__(self, space: Space, seed: int, study: Study) -> None:
        import optuna

        # It would report every trial on stderr; callers say it in their own way.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._seed = seed
        self._distributions = {name: each.distribution() for name, each in space.items()}
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=_PRUNE_AFTER_TRIALS, n_warmup_steps=_PRUNE_FROM_EPOCH, n_min_trials=_PRUNE_AFTER_TRIALS
        )
        self._study = optuna.create_study(direction="maximize", pruner=pruner)
        for trial in study.trials:
            self._study.add_trial(self._frozen(trial))

    def trial(
        self,
        number: int,
        start: Hyperparameters,
        measure: Callable[[int, Hyperparameters, Prune], Trial],
    ) -> Trial:
        """Choose the hyper-parameters of this trial, let them be measured, and remember the outcome."""
        import optuna

        if number == 0:
            outcome = measure(0, {name: start[name] for name in self._space}, lambda epoch, value: False)
            self._study.add_trial(self._frozen(outcome))
            return outcome
        # A generator per trial: what follows depends on what was found and not on when the process was started.
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed * 1_000_003 + number, n_startup_trials=_RANDOM_TRIALS
        )
        asked = self._study.ask(self._distributions)

        def prune(epoch: int, value: float) -> bool:
            asked.report(value, epoch)
            return asked.should_prune()

        outcome = measure(number, decode(self._space, asked.params), prune)
        self._study.tell(asked, outcome.ndcg_at_10, _state(outcome))
        return outcome

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        import optuna

        return optuna.trial.create_trial(
            state=_state(trial),
            value=trial.ndcg_at_10,
            params=encode(self._space, trial.hyperparameters),
            distributions=self._distributions,
            intermediate_values=dict(trial.looks),
        )


def _state(trial: Trial) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    if trial.ndcg_at_10 is not None:
        return TrialState.COMPLETE
    return TrialState.PRUNED if trial.state == "pruned" else TrialState.FAIL
