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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.data.vectors import Diverged
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, fit_model, parse_config
from recsaas_assets.recommender.lifecycle.validation_users import ValidationUsers, clearly_ahead
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, TrainingCancelled
from recsaas_assets.recommender.search.search_result import Question, SearchResult, Study, Trial, Verdict
from recsaas_assets.recommender.search.search_space import Hyperparameters, Space, decode, encode, space_of
from resources.base.errors import InvalidInput

if TYPE_CHECKING:
    import optuna

_RANDOM_TRIALS = 8
_PRUNE_AFTER_TRIALS = 4
_PRUNE_FROM_EPOCH = 15
_USERS = 5000


@dataclass(frozen=True, slots=True)
class Budget:
    """The search ends when either is used up; both count what a resumed search had done before."""

    trials: int
    minutes: float


class _GivenUp(Exception):
    """Leaves a fit that is not worth going on with; its message is the state of the trial."""


def search(
    data: TrainingSet,
    config: ModelConfig,
    *,
    seed: int,
    budget: Budget,
    store: UPath,
    fixed: dict[str, JsonValue] | None = None,
    features: FeatureHistory | None = None,
    on_trial: Callable[[Trial, Study], None] | None = None,
    on_epoch: Callable[[int, EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[SearchResult, Study]:
    """Look for a better configuration than `config`, and keep every trial in the folder `store`.

    A search that was killed or cancelled goes on where it was: the trials that follow are the ones that would have
    followed, as each draws from a generator of its own number. The same question asked again answers at once.

    Args:
        fixed: the tenant's own hyper-parameters, which are left alone.
        on_trial: told each new trial, and the study with it.
        on_epoch: told the number of the trial and its progress.

    Raises:
        InvalidInput: there is no validation period, nobody in it to measure on, or the start diverges.
        TrainingCancelled: `should_stop` said so. What was finished stays.
    """
    if not data.split.evaluable or len(data.train) == 0:
        raise _nothing_to_search_on(data.split.reason or "there is no pair before the validation period")
    fixed = fixed or {}
    space = space_of(config, fixed)
    start = config.model_dump(mode="json")
    question = Question(fingerprint=data.fingerprint, config=start, searched=tuple(sorted(space)), seed=seed)
    study = Study.load(store, question)
    sampler = _Sampler(space, seed, study)
    deadline = time.monotonic() + budget.minutes * 60 - study.seconds

    def measure(number: int, hyperparameters: Hyperparameters, prune: Callable[[int, float], bool]) -> Trial:
        started = time.perf_counter()
        looks: list[tuple[int, float]] = []

        def note(progress: EpochProgress) -> None:
            if on_epoch is not None:
                on_epoch(number, progress)
            value = progress.metrics.get("ndcg@10")
            if value is not None:
                looks.append((progress.epoch, value))
            if not math.isfinite(progress.loss):
                raise _GivenUp("failed")
            if value is not None and prune(progress.epoch, value):
                raise _GivenUp("pruned")

        state = "finished"
        try:
            fit_model(
                parse_config({**start, **hyperparameters}),
                data.train,
                data.n_users,
                data.n_items,
                seed=seed,
                features=None if features is None else features.train,
                validation=data.validation,
                on_epoch=note,
                # The first trial is always finished: without it there is nothing to compare with.
                should_stop=lambda: (should_stop is not None and should_stop()) or (number > 0 and out_of_time()),
            )
        except _GivenUp as reason:
            state = str(reason)
        except Diverged:
            state = "failed"
        epochs, value = _best_look(looks)
        return Trial.model_validate(
            {
                "number": number,
                "state": state,
                "hyperparameters": hyperparameters,
                "ndcg_at_10": value if state == "finished" else None,
                "looks": looks,
                "epochs": epochs,
                "seconds": time.perf_counter() - started,
            }
        )

    def out_of_time() -> bool:
        return time.monotonic() >= deadline

    while len(study.trials) < budget.trials and not (study.trials and out_of_time()):
        number = len(study.trials)
        try:
            trial = sampler.trial(number, start, measure)
        except TrainingCancelled:
            if out_of_time() and not (should_stop is not None and should_stop()):
                break
            raise
        if number == 0 and trial.state == "failed":
            raise InvalidInput("The configuration that the search starts from diverges; lower its learning_rate.")
        if number == 0 and trial.ndcg_at_10 is None:
            raise _nothing_to_search_on("no user of the validation period can be measured")
        study = study.model_copy(update={"trials": (*study.trials, trial)})
        study.save(store)
        if on_trial is not None:
            on_trial(trial, study)
    best = study.best()
    if best.number > 0 and (study.verdict is None or study.verdict.trial != best.number):
        clear = _is_clear(best, study.trials[0], data, start, seed, features, should_stop)
        study = study.model_copy(update={"verdict": Verdict(trial=best.number, clear=clear)})
        study.save(store)
    if study.verdict is None or not study.verdict.clear:
        best = study.trials[0]
    result = SearchResult(
        model_type=config.model_type,
        hyperparameters=best.hyperparameters if best.number > 0 else {},
        fixed=fixed,
        ndcg_at_10=best.ndcg_at_10 or 0.0,
        best_seen_ndcg_at_10=study.best().ndcg_at_10 or 0.0,
        default_ndcg_at_10=study.trials[0].ndcg_at_10 or 0.0,
        trials=len(study.trials),
        seconds=round(study.seconds, 2),
        ended_by="trials" if len(study.trials) >= budget.trials else "minutes",
        seed=seed,
        fingerprint=data.fingerprint,
        n_users=data.n_users,
        n_items=data.n_items,
        n_pairs=len(data.full),
    )
    result.save(store)
    return result, study


def _nothing_to_search_on(reason: str) -> InvalidInput:
    return InvalidInput(
        f"There is nothing to search on: {reason.rstrip('.')}. Upload interactions that reach over a longer time and "
        "run the pipeline; until then runs train with the defaults."
    )


def _is_clear(
    best: Trial,
    first: Trial,
    data: TrainingSet,
    start: Hyperparameters,
    seed: int,
    features: FeatureHistory | None,
    should_stop: Callable[[], bool] | None,
) -> bool:
    """Fit both again, for as long as was best, and compare them user by user."""
    users = ValidationUsers.of(data, seed, limit=_USERS)
    values = []
    for trial in (best, first):
        fitted = fit_model(
            parse_config({**start, **trial.hyperparameters}),
            data.train,
            data.n_users,
            data.n_items,
            seed=seed,
            features=None if features is None else features.train,
            stop_after=trial.epochs,
            should_stop=should_stop,
        )
        values.append(users.ndcg_at_10(fitted.vectors.users, fitted.vectors.items))
    return clearly_ahead(values[0], values[1])


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
        measure: Callable[[int, Hyperparameters, Callable[[int, float], bool]], Trial],
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


def _best_look(looks: list[tuple[int, float]]) -> tuple[int, float | None]:
    """Epoch and value of the best look, each taken as the mean of itself and the one before, as early stopping does."""
    best_epoch, best = 0, None
    for place, (epoch, value) in enumerate(looks):
        smoothed = value if place == 0 else (value + looks[place - 1][1]) / 2
        if best is None or smoothed > best:
            best_epoch, best = epoch, smoothed
    return best_epoch, best
