"""`recsaas bench repeats`: lists with and without what a user buys again, and with less of popularity."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from recsaas_assets.benchmarks.datasets import Prepared, dataset_option, print_measured
from recsaas_assets.commands.console import json_option
from resources.storage.lake import read_parquet

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.repeats.chances import RepeatModel

_BEFORE_ALL = 50.0
"""Log odds that put every repeat before every new item."""
_TIMES, _AGE = 1, -3
"""Places of the coefficients of how often and how long ago."""


@click.command()
@dataset_option
@click.option("--seed", default=7, show_default=True, help="Seed of the fits and of the intervals.")
@json_option
def repeats(names: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Train with the defaults, learn whether what was bought should come again, and measure it on the test period.

    `by_times` and `by_age` put all repeats before the new items, the most often and the most lately bought first.
    `personalisation` has the lists of new items by `training.personalisation`.
    """
    print_measured(names, lambda data: _measure(data, seed), seed=seed, as_json=as_json)


def _measure(prepared_data: Prepared, seed: int) -> dict[str, Any]:
    from recsaas_assets.recommender.lifecycle.model_config import default_config
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
    from recsaas_assets.recommender.repeats.learning import learn_repeats, scorers_of, test_period
    from recsaas_assets.recommender.repeats.lists import measured_lists
    from recsaas_assets.recommender.repeats.purchases import repeatable

    data, lake = prepared_data.training_set, prepared_data.tenant
    model = train(
        TrainingInputs(data), default_config("lightgcn", data.n_users, data.n_items, len(data.full)), seed=seed
    )
    started = time.perf_counter()
    bought = repeatable(read_parquet(lake.dbt / "int_interaction_signals.parquet"), data)
    scorers = scorers_of(data, model)
    found = learn_repeats(bought, data, scorers, seed=seed)
    seconds = round(time.perf_counter() - started, 2)
    answer = {
        **found.verdict.model_dump(mode="json"),
        "seconds": seconds,
        "personalisation": _personal(data, model, seed),
    }
    if found.model is None:
        return answer
    period = test_period(bought, data)
    plain = {"by_times": _by(found.model, _TIMES, 1.0), "by_age": _by(found.model, _AGE, -1.0)}
    yardsticks = {name: measured_lists(period, scorers[1], each, seed=seed) for name, each in plain.items()}
    return {**answer, "yardsticks": {name: lists.with_repeats for name, lists in yardsticks.items()}}


def _personal(data: TrainingSet, model: TrainedModel, seed: int) -> dict[str, Any]:
    """The trade-off on the validation period, and both choices on the test period."""
    from recsaas_assets.recommender.evaluation.evaluate import evaluate
    from recsaas_assets.recommender.lifecycle.personalisation import balanced, balanced_factor, trade_off
    from recsaas_assets.recommender.repeats.learning import scorers_of

    points = trade_off(data, model, seed=seed)
    choices = {"balanced": balanced(data, model, seed=seed), "accuracy": model}
    report = evaluate(data, {name: scorers_of(data, each)[1] for name, each in choices.items()}, seed=seed)
    return {
        "trade_off": [point.model_dump() for point in points],
        "factor": balanced_factor(points),
        "test": report.models,
        "balanced_minus_accuracy": report.leads["accuracy"].model_dump() if report.leads else None,
    }


def _by(model: RepeatModel, place: int, sign: float) -> RepeatModel:
    again = np.zeros_like(model.again)
    again[0], again[place] = _BEFORE_ALL, sign
    return replace(model, again=again)
