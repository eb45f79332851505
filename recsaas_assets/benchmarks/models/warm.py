"""`recsaas bench warm`: incremental runs against full ones, time and quality, run after run.

All fits have the configuration that the first run chose, so that only the start differs. An incremental fit has in sum
had more steps than a full one: `annealed` takes as many after a full fit on the same data, to tell the two apart.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import click
import polars as pl
from rich.table import Table
from upath import UPath

from recsaas_assets.benchmarks.datasets import Prepared, dataset_option, prepared
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.models.ranked import ranked
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.storage.lake import read_parquet
from resources.tenants.settings import InteractionWeights

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.model_config import ModelConfig
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel

_FIRST_SHARE = 0.8
_KINDS = ("full", "incremental", "annealed")


@click.command()
@dataset_option
@click.option("--runs", type=click.IntRange(min=1), default=4, show_default=True, help="Incremental runs in a row.")
@click.option("--seed", default=7, show_default=True, help="Seed of the fits and of the intervals.")
@json_option
def warm(names: tuple[str, ...], runs: int, seed: int, as_json: bool) -> None:
    """Start with four fifths of the interactions, add the rest run by run, and train each time in both ways."""
    answer: dict[str, Any] = {"seed": seed}
    for name in names:
        notes.print(f"{name} …")
        with prepared(name) as data:
            answer[name] = _measure(data, runs, seed)
    answer["machine"] = machine()
    if as_json:
        print_json(answer)
        return
    table = Table("data set", "interactions", *(f"{kind}: s, epochs, NDCG@10" for kind in _KINDS), "minus full", "")
    for name in names:
        for line in answer[name]:
            shown = (_figures(line[kind]) for kind in _KINDS)
            differences = (_difference(kind, line["minus_full"].get(kind)) for kind in _KINDS[1:])
            table.add_row(name, f"{line['interactions']:,}", *shown, *differences)
    results.print(table)


def _figures(run: dict[str, Any]) -> str:
    quality = "nobody to measure on" if run["ndcg@10"] is None else f"{run['ndcg@10']:.4f}"
    return f"{run['seconds']:.1f}, {run['epochs']}, {quality}"


def _difference(kind: str, found: dict[str, float] | None) -> str:
    return "" if found is None else f"{kind} {found['value']:+.4f} ({found['low']:+.4f} … {found['high']:+.4f})"


def _measure(prepared_data: Prepared, runs: int, seed: int) -> list[dict[str, Any]]:
    from recsaas_assets.recommender.data.content import item_content
    from recsaas_assets.recommender.data.dataset import build_training_set
    from recsaas_assets.recommender.lifecycle.model_config import default_config
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
    from recsaas_assets.recommender.lifecycle.warm_start import PreviousModel

    lake = prepared_data.tenant
    columns = ["timestamp", "user_id", "item_id", "interaction_type", "signal"]
    signals = read_parquet(lake.dbt / "int_interaction_signals.parquet").sort(columns)
    catalogue = read_parquet(lake.dbt / "stg_items.parquet")
    lines = []
    config: ModelConfig | None = None
    with tempfile.TemporaryDirectory() as folder:
        kept, just_full = UPath(folder) / "kept", UPath(folder) / "full"
        for run in range(runs + 1):
            share = _FIRST_SHARE + (1 - _FIRST_SHARE) * run / runs
            part: pl.DataFrame = signals.head(round(signals.height * share))
            data = build_training_set(part, catalogue["item_id"], InteractionWeights().cap)
            content = item_content(catalogue, data.items.ids)
            config = config or default_config("lightgcn", data.n_users, data.n_items, len(data.full))
            full = train(TrainingInputs(data, content=content), config, seed=seed)
            config = full.config
            if run == 0:
                full.save(kept)
                continue
            full.save(just_full)
            models = {"full": full}
            for kind, start in (("incremental", kept), ("annealed", just_full)):
                models[kind] = train(
                    TrainingInputs(data, content=content, previous=PreviousModel.load(start)), config, seed=seed
                )
            models["incremental"].save(kept)
            lines.append({"interactions": part.height, **_compare(data, models, seed)})
            notes.print(f"  {part.height:,} interactions: {lines[-1]}")
    return lines


def _compare(data: TrainingSet, models: dict[str, TrainedModel], seed: int) -> dict[str, Any]:
    """NDCG@10 of all on the test period, None when nobody can be measured, and what each took."""
    from recsaas_assets.recommender.metrics.scorers import VectorScorer

    known = data.before_test.users_per_item(data.n_items) > 0
    truth = data.test.of_users(data.before_test.items_per_user(data.n_users) > 0).of_items(known)
    scorers = {name: VectorScorer(each.holdout.users, each.holdout.items, known) for name, each in models.items()}
    truth = truth.without(data.before_test, data.n_items)
    found = ranked(scorers, truth, data.before_test, data, against="full", seed=seed)
    figures, differences = found.get("models", {}), found.get("minus_full", {})
    return {
        "test_users": found["users"],
        **{
            name: {
                "seconds": round(each.seconds, 2),
                "epochs": each.start.epochs,
                "mode": each.start.mode,
                "reason": each.start.reason,
                "ndcg@10": figures[name]["ndcg@10"]["value"] if figures else None,
            }
            for name, each in models.items()
        },
        "time_share": round(models["incremental"].seconds / models["full"].seconds, 3),
        "minus_full": {name: each["ndcg@10"] for name, each in differences.items()},
    }
