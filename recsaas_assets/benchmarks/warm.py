"""`recsaas bench warm`: incremental runs against full ones, time and quality, run after run."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import click
import polars as pl
from rich.table import Table
from upath import UPath

from recsaas_assets.benchmarks.datasets import DATASETS, PUBLIC, Prepared, prepared
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.ranked import ranked
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.lake import read_parquet
from resources.tenant_settings import InteractionWeights

if TYPE_CHECKING:
    from recsaas_assets.recommender.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle import TrainedModel

_FIRST_SHARE = 0.8


@click.command()
@click.option(
    "--dataset",
    "names",
    multiple=True,
    default=PUBLIC,
    show_default=True,
    type=click.Choice(DATASETS),
    help="Repeatable.",
)
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
    table = Table("data set", "interactions", "full s", "incremental s", "full NDCG@10", "incremental", "difference")
    for name in names:
        for line in answer[name]:
            difference = line["incremental_minus_full"]
            shown = f"{difference['value']:+.4f} ({difference['low']:+.4f} … {difference['high']:+.4f})"
            figures = (f"{line[kind]['ndcg@10']:.4f}" for kind in ("full", "incremental"))
            seconds = (f"{line[kind]['seconds']:.1f}" for kind in ("full", "incremental"))
            table.add_row(name, f"{line['interactions']:,}", *seconds, *figures, shown)
    results.print(table)


def _measure(prepared_data: Prepared, runs: int, seed: int) -> list[dict[str, Any]]:
    from recsaas_assets.recommender.content import content_matrix
    from recsaas_assets.recommender.dataset import build_training_set
    from recsaas_assets.recommender.lifecycle import train
    from recsaas_assets.recommender.model_config import default_config
    from recsaas_assets.recommender.warm_start import PreviousModel

    lake = prepared_data.tenant
    signals = read_parquet(lake.dbt / "int_interaction_signals.parquet").sort("timestamp")
    catalogue = read_parquet(lake.dbt / "stg_items.parquet")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        kept = UPath(folder)
        for run in range(runs + 1):
            share = _FIRST_SHARE + (1 - _FIRST_SHARE) * run / runs
            part: pl.DataFrame = signals.head(round(signals.height * share))
            data = build_training_set(part, catalogue["item_id"], InteractionWeights().cap)
            content = content_matrix(catalogue, data.items.ids)
            config = default_config("lightgcn", data.n_users, data.n_items, len(data.full))
            full = train(data, config, seed=seed, content=content)
            if run == 0:
                full.save(kept)
                continue
            incremental = train(data, config, seed=seed, content=content, previous=PreviousModel.load(kept))
            incremental.save(kept)
            lines.append({"interactions": part.height, **_compare(data, full, incremental, seed)})
            notes.print(f"  {part.height:,} interactions: {lines[-1]}")
    return lines


def _compare(data: TrainingSet, full: TrainedModel, incremental: TrainedModel, seed: int) -> dict[str, Any]:
    """NDCG@10 of both on the test period, and what each took."""
    from recsaas_assets.recommender.scorers import VectorScorer

    known = data.before_test.users_per_item(data.n_items) > 0
    truth = data.test.of_users(data.before_test.items_per_user(data.n_users) > 0).of_items(known)
    models = {"full": full, "incremental": incremental}
    scorers = {name: VectorScorer(each.holdout.users, each.holdout.items, known) for name, each in models.items()}
    truth = truth.without(data.before_test, data.n_items)
    found = ranked(scorers, truth, data.before_test, data, against="full", seed=seed)
    return {
        "test_users": found["users"],
        **{
            name: {
                "seconds": round(each.seconds, 2),
                "epochs": each.start.epochs,
                "mode": each.start.mode,
                "reason": each.start.reason,
                "ndcg@10": found["models"][name]["ndcg@10"]["value"],
            }
            for name, each in models.items()
        },
        "time_share": round(incremental.seconds / full.seconds, 3),
        "incremental_minus_full": found["minus_full"]["incremental"]["ndcg@10"],
    }
