"""`recsaas bench gowalla`: the published quality of LightGCN, and the time it takes, beside a reference-style loop."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import click

from recsaas_assets.benchmarks.datasets import public_data
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.processes.memory import peak_memory_bytes

if TYPE_CHECKING:
    from recsaas_assets.benchmarks.training.gowalla_measure import PaperSplit
    from resources.tenants.model_configs import LightGCNConfig

_REFERENCE_STEPS = 5
_LOOK_EVERY = 20


def gowalla_config(steps: int = 300) -> LightGCNConfig:
    """Chosen on a validation tenth of the training pairs; docs/benchmarks.md has the search."""
    from resources.tenants.model_configs import LightGCNConfig

    return LightGCNConfig(
        steps=steps,
        layer_weights=(0.1, 0.3, 0.6),
        temperature=0.1,
        negatives=1024,
        negative_exponent=0.5,
        learning_rate=0.1,
        item_readout_exponent=0.5,
    )


class _Seeds(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    name = "seeds"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse ``1,2,3``."""
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if not all(part.strip().isdecimal() for part in parts):
            self.fail(f"{value!r} is not a list of numbers such as 1,2,3.", param, ctx)
        return tuple(int(part) for part in parts)


@click.command()
@click.option("--seeds", default="1", show_default=True, type=_Seeds(), help="One run for each, for example 1,2,3.")
@click.option("--steps", default=300, show_default=True, type=click.IntRange(min=1), help="Steps of the schedule.")
@json_option
def gowalla(seeds: tuple[int, ...], steps: int, as_json: bool) -> None:
    """Train on Gowalla in the paper's split and rank all items for all test users.

    With several seeds the figures at the top are the worst of the runs.
    """
    from recsaas_assets.benchmarks.training.gowalla_measure import PaperSplit

    answer = measure(PaperSplit.read(public_data() / "gowalla"), gowalla_config(steps), seeds)
    if as_json:
        print_json(answer)
    else:
        for name, value in answer.items():
            results.print(f"{name:32} {value}")


def measure(split: PaperSplit, config: LightGCNConfig, seeds: Sequence[int]) -> dict[str, object]:
    """All figures, for JSON."""
    from recsaas_assets.benchmarks.training.gowalla_measure import (
        PUBLISHED,
        first_to_publish,
        run_once,
        step_milliseconds,
    )
    from recsaas_assets.benchmarks.training.reference_loop import EPOCHS, seconds_per_step, steps_per_epoch

    runs: list[dict[str, object]] = []
    trained, ranked, passed, qualities = [], [], [], []
    for seed in seeds:
        notes.print(f"Seed {seed}: {config.steps} steps …")
        run = run_once(split, config, seed=seed)
        first = first_to_publish(split, config, seed=seed, every=_LOOK_EVERY)
        trained.append(run.train_seconds)
        ranked.append(run.evaluate_seconds)
        passed.append(None if first is None else first.train_seconds)
        qualities.append(run.metrics)
        runs.append(
            {
                "seed": seed,
                **{name: round(value, 5) for name, value in run.metrics.items()},
                "train_seconds": round(run.train_seconds, 2),
                "train_cpu_seconds": round(run.train_cpu_seconds, 2),
                "evaluate_seconds": round(run.evaluate_seconds, 2),
                "seconds_to_published": None if first is None else round(first.train_seconds, 2),
                "cpu_seconds_to_published": None if first is None else round(first.train_cpu_seconds, 2),
                "steps_to_published": None if first is None else first.steps,
            }
        )
    memory = peak_memory_bytes()
    parts = step_milliseconds(split, config, seed=seeds[0])
    notes.print("The reference-style loop …")
    step = seconds_per_step(
        split.train, split.n_users, split.n_items, dim=config.dim, steps=_REFERENCE_STEPS, seed=seeds[0]
    )
    reference = step * steps_per_epoch(split.train) * EPOCHS
    slowest = None if None in passed else max(each for each in passed if each is not None)
    return {
        **{name: round(min(each[name] for each in qualities), 5) for name in PUBLISHED},
        "train_seconds": round(max(trained), 2),
        "seconds_to_published": None if slowest is None else round(slowest, 2),
        "evaluate_seconds": round(max(ranked), 2),
        "peak_memory_bytes": memory,
        "seed": list(seeds),
        "reference_seconds_extrapolated": round(reference),
        "reference_step_seconds": round(step, 4),
        "times_as_fast_as_reference": None if slowest is None else round(reference / slowest),
        "step_seconds": round(median(trained) / config.steps, 4),
        "step_parts_milliseconds": parts,
        "published": PUBLISHED,
        "runs": runs,
        "config": config.model_dump(mode="json"),
        "machine": machine(),
    }
