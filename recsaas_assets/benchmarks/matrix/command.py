"""`recsaas bench models`: one contest by data set, or the matrix of all of them with what is served by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from recsaas_assets.benchmarks.datasets import DATASETS
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.models.models import contests, interval_text, show_contest
from recsaas_assets.commands.console import json_option, notes, print_json, results

_CONTEST_BUDGET, _MATRIX_BUDGET = 10, 4
_SHOWN = ("ndcg@10", "ndcg@20", "recall@20", "coverage@10")


@click.command()
@click.option(
    "--dataset",
    "names",
    multiple=True,
    help=f"May be given several times; all when left out. {', '.join(DATASETS)}; with --all, a set of the matrix. "
    "The public ones are looked for in RECSAAS_BENCH_DATA.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    help="Configurations tried on validation for every model, its defaults included; 10, with --all 4.",
)
@click.option("--seed", default=7, show_default=True, help="Of the draws, the fits and the intervals.")
@click.option("--all", "everything", is_flag=True, help="The matrix: what is served by default on sets of many shapes.")
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(1, 20),
    help="With --all: fit the model that was chosen with so many seeds.",
)
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --all: keep measured sets in this file, and go on from it.",
)
@click.option(
    "--strict", is_flag=True, help="With --all: exit with 1 when a baseline is surely ahead of what is served."
)
@click.option("--smoke", is_flag=True, help="With --all: three small invented sets only, to see that it works.")
@json_option
def models(
    names: tuple[str, ...],
    budget: int | None,
    seed: int,
    everything: bool,
    seeds: int,
    keep: Path | None,
    strict: bool,
    smoke: bool,
    as_json: bool,
) -> None:
    """Tune every model on the validation period with the same budget, and measure it once on the test period.

    With --all, upload every set of the matrix to an empty installation, run it, and measure what its release answers
    on what was held back, beside the baselines; then choose a single default on all sets but one, for each of them.
    """
    if not everything:
        if strict or smoke or keep is not None or seeds != 1:
            raise click.UsageError("--seeds, --keep, --strict and --smoke are for --all.")
        _contest(names, budget or _CONTEST_BUDGET, seed, as_json)
        return
    from recsaas_assets.benchmarks.matrix.keeping import MatrixOptions
    from recsaas_assets.benchmarks.matrix.matrix import code_digest, measure_matrix
    from recsaas_assets.benchmarks.matrix.shops import chosen_sets

    options = MatrixOptions(budget or _MATRIX_BUDGET, seed, seeds, smoke, code_digest())
    answer = measure_matrix(chosen_sets(names, smoke=smoke), options, keep=keep, say=notes.print)
    answer |= {"budget": options.budget, "seed": seed, "code": options.code, "machine": machine()}
    if as_json:
        print_json(answer)
    else:
        show_matrix(answer)
    if strict and answer["surely_beaten"]:
        raise SystemExit(1)


def _contest(names: tuple[str, ...], budget: int, seed: int, as_json: bool) -> None:
    if strange := [name for name in names if name not in DATASETS]:
        raise click.UsageError(f"{', '.join(strange)} is none of {', '.join(DATASETS)}, or needs --all.")
    answer = contests(names or DATASETS, budget, seed)
    if as_json:
        print_json(answer)
        return
    for name, measured in answer["datasets"].items():
        show_contest(name, measured)


def show_matrix(answer: dict[str, Any]) -> None:
    """Print the figures of every set, the baselines that are surely ahead, and the table with one set left out."""
    for name, each in answer["sets"].items():
        title = f"{name}: {each['split']} split, {each['test_users']} users, {each['product']['algorithm']} is served"
        table = Table("model", *_SHOWN, "served − model, NDCG@10", "Recall@20", title=title)
        for model, row in each["models"].items():
            if "figures" not in row:
                table.add_row(model, row["left_out"])
                continue
            leads = row.get("served_minus_this")
            shown = (
                ["", ""] if leads is None else [interval_text(leads[m], signed=True) for m in ("ndcg@10", "recall@20")]
            )
            table.add_row(model, *(interval_text(row["figures"][metric]) for metric in _SHOWN), *shown)
        results.print(table)
    for beaten in answer["surely_beaten"] or [{}]:
        said = (
            f"On {beaten['set']}, {beaten['baseline']} is surely ahead of what is served: served − baseline in "
            f"{beaten['metric']} is {interval_text(beaten['served_minus_this'], signed=True)}"
            if beaten
            else "No baseline is surely ahead of what is served."
        )
        results.print(said, soft_wrap=True)
    table = Table("left out", "others choose", "it gets NDCG@10", "best there", "its NDCG@10", "own choice gets")
    for row in answer["leave_one_set_out"]:
        own = row["own_choice_ndcg@10"]
        figures = (row["chosen_by_others"], f"{row['ndcg@10']:.4f}", row["best"], f"{row['best_ndcg@10']:.4f}")
        table.add_row(row["left_out"], *figures, "" if own is None else f"{own:.4f}")
    results.print(table)
    results.print(f"{answer['seconds'] / 60:.1f} minutes in all.")
