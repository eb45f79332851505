"""The whole matrix: every set measured, whether a baseline is surely ahead, and the table with one set left out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recsaas_assets.benchmarks.matrix.figures import SERVED, compared, surely_ahead
from recsaas_assets.benchmarks.matrix.keeping import KeptSets, MatrixOptions
from recsaas_assets.benchmarks.matrix.left_out import (
    METRIC,
    SetOfCandidates,
    candidate_values,
    leave_one_out,
    value_of,
)
from recsaas_assets.benchmarks.matrix.served import RunPipeline, ServedShop, run_in_process_of_its_own, served
from recsaas_assets.benchmarks.matrix.shops import MatrixSet
from recsaas_assets.benchmarks.matrix.yardsticks import Yardsticks
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lifecycle.model_config import fit_model
from resources.tenants.model_configs import LightGCNConfig

Say = Callable[[str], None]
_ROOT = Path(__file__).parents[3]
_NOT_MEASURED = ("recsaas_assets/benchmarks", "recsaas_assets/commands")


def measure_matrix(
    sets: Sequence[MatrixSet],
    options: MatrixOptions,
    *,
    keep: Path | None,
    say: Say,
    run: RunPipeline = run_in_process_of_its_own,
) -> dict[str, Any]:
    """Measure every set that is not in `keep` yet; `say` is told how far it is. See `measure_set` for what a set has.

    `surely_beaten` lists each baseline that is ahead of what is served by the whole interval, and where.

    Raises:
        InvalidInput: data are not there, or `keep` is of other options.
        NotReady: a run failed; the sets before it are kept.
    """
    kept, started = KeptSets(keep, options), time.perf_counter()
    for number, each in enumerate(sets, start=1):
        if each.name in kept.sets:
            say(f"{each.name} ({number} of {len(sets)}): kept from before")
            continue
        say(f"{each.name} ({number} of {len(sets)}) …")
        kept.add(each.name, measure_set(each, options, say=say, run=run))
    measured = {each.name: kept.sets[each.name] for each in sets}
    return {
        "surely_beaten": [
            {"set": name, **beaten} for name, each in measured.items() for beaten in each["surely_beaten"]
        ],
        "sets": measured,
        "leave_one_set_out": leave_one_out(
            {
                name: SetOfCandidates(each["origin"], each["candidates"], each["own_choice"])
                for name, each in measured.items()
                if each["candidates"]
            }
        ),
        "seconds": round(sum(each["seconds"] for each in measured.values()), 1),
        "seconds_of_this_run": round(time.perf_counter() - started, 1),
    }


def measure_set(each: MatrixSet, options: MatrixOptions, *, say: Say, run: RunPipeline) -> dict[str, Any]:
    """What the product serves on one set, beside the baselines on the same users, as JSON.

    `models` has figures with intervals and what the served lists lead each baseline by; `product` how the release came
    about; `candidates` the NDCG@10 of every configuration that the product chooses among, not for parts of other sets.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    with served(each, options.seed, run) as one:
        seconds["served"] = time.perf_counter() - started
        say(f"  served: {one.manifest.algorithm}, {len(one.users)} users, {seconds['served']:.0f} s")
        lists = {SERVED: one.lists}
        chosen: dict[str, dict[str, Any]] = {}
        for yardstick in Yardsticks(one.data, one.users, budget=options.budget, seed=options.seed).all():
            say(f"  {yardstick.name}: {yardstick.left_out or f'{yardstick.seconds:.0f} s'}")
            chosen[yardstick.name] = {"chosen": yardstick.chosen, "seconds": round(yardstick.seconds, 2)}
            if yardstick.lists is None:
                chosen[yardstick.name]["left_out"] = yardstick.left_out
            else:
                lists[yardstick.name] = yardstick.lists
        table = compared(one.holdout, one.users, lists, seed=options.seed)
        for name, row in chosen.items():
            table[name] = row | table.get(name, {})
        with _timed("candidates", seconds):
            values = candidate_values(one, seed=options.seed) if each.name == each.origin else {}
        with _timed("seeds", seconds):
            other_seeds = _other_seeds(one, options)
        say(f"  candidates: {seconds['candidates']:.0f} s")
        return {
            "about": each.about,
            "origin": each.origin,
            "split": each.split,
            **_size(one),
            "product": _product(one),
            "models": table,
            "surely_beaten": surely_ahead(table),
            "candidates": {name: round(value, 5) for name, value in values.items()},
            "own_choice": _own_choice(one),
            "seeds": other_seeds,
            "seconds": round(time.perf_counter() - started, 1),
            "seconds_of": {name: round(value, 1) for name, value in seconds.items()},
        }


def code_digest() -> str:
    """SHA-256 (hex, 16 places) over the sources that make a model and serve it; benchmarks and commands left out."""
    digest = hashlib.sha256()
    for folder in ("dbt_project", "recsaas_assets", "resources"):
        for file in sorted(path for ending in ("py", "sql") for path in (_ROOT / folder).rglob(f"*.{ending}")):
            name = file.relative_to(_ROOT).as_posix()
            if not name.startswith(_NOT_MEASURED):
                digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _size(one: ServedShop) -> dict[str, Any]:
    return {
        "users": one.data.n_users,
        "items": one.data.n_items,
        "pairs": len(one.data.full),
        "test_users": len(one.users),
        "test_pairs": len(one.holdout.targets),
    }


def _product(one: ServedShop) -> dict[str, Any]:
    """How the release came about: what is served, why, by what configuration, and what the product said of it itself.

    The figures of `own_report` are those of the product's own test period, which is earlier than what was held back.
    """
    report = one.report
    return {
        "algorithm": one.manifest.algorithm,
        "second_stage": bool(report.second_stage),
        "gate": one.manifest.gate.model_dump(mode="json"),
        "hyperparameters": one.manifest.hyperparameters,
        "own_report": {
            "users": report.split.evaluated_users,
            METRIC: {name: round(figures[METRIC], 5) for name, figures in report.models.items()},
            "left_out": report.left_out,
        },
        "choice": None if report.choice is None else report.choice.model_dump(mode="json"),
        "training_seconds": round(one.model.seconds, 2),
        "run": one.run,
    }


def _own_choice(one: ServedShop) -> float | None:
    """NDCG@10 of the configuration that the product chose by itself, whatever is served in its place."""
    return round(value_of(one, one.model.release)[METRIC], 5) if isinstance(one.model.config, LightGCNConfig) else None


def _other_seeds(one: ServedShop, options: MatrixOptions) -> dict[str, list[float]]:
    """Figures of the product's model fitted with its configuration and other seeds; empty with one seed.

    The seeds are those that follow the run's own, with which the figures begin.
    """
    config, first = one.model.config, one.model.seed
    if options.seeds < 2 or not isinstance(config, LightGCNConfig):
        return {}
    found = [value_of(one, one.model.release)]
    for seed in range(first + 1, first + options.seeds):
        inputs = FitInputs(one.data.full, one.data.n_users, one.data.n_items, seed, stop_after=one.model.epochs)
        found.append(value_of(one, fit_model(inputs, config).vectors))
    return {metric: [round(each[metric], 5) for each in found] for metric in found[0]}


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started
