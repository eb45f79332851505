"""`recsaas bench parallel`: the same fit by one process and by several: seconds, and how far they agree."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import json_option, notes, print_json, results

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.lightgcn.trainer import FitResult

# As large as Gowalla's training pairs.
_USERS, _ITEMS, _PAIRS = 29_858, 40_981, 810_128
_SEED = 7


@click.command()
@click.option(
    "--processes", default=2, show_default=True, type=click.IntRange(2, 64), help="Processes to compare with."
)
@click.option("--times", default=1, show_default=True, type=click.IntRange(1, 100), help="Times the users of Gowalla.")
@click.option("--steps", default=10, show_default=True, type=click.IntRange(1, 1000), help="Steps to fit.")
@json_option
def parallel(processes: int, times: int, steps: int, as_json: bool) -> None:
    """Fit a random graph as large as Gowalla, or so many times its users, by one process and by several."""
    import torch

    from recsaas_assets.recommender.data_parallel.parallel_job import ParallelFit
    from recsaas_assets.recommender.data_parallel.processes import fit_in_processes
    from recsaas_assets.recommender.fitting.inputs import FitInputs
    from recsaas_assets.recommender.lightgcn.trainer import fit
    from resources.tenants.model_configs import LightGCNConfig

    pairs, held_back = _graph(_USERS * times, _PAIRS * times)
    # No look stops the fit, and the last one measures it.
    config = LightGCNConfig(steps=steps, evaluate_every=steps, patience=steps)
    threads = max(processes, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    notes.print(f"{len(pairs):,} pairs, {steps} steps: one process with {threads} threads …")
    inputs = FitInputs(pairs, _USERS * times, _ITEMS, _SEED, validation=held_back)
    alone = fit(inputs, config)
    notes.print(f"… and {processes} processes with {threads // processes} each …")
    job = ParallelFit(inputs, config)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        together = fit_in_processes(job, processes, scratch=Path(folder))
        wall = time.perf_counter() - started
    answer = {
        "one_process_seconds": round(alone.seconds, 2),
        "processes_seconds": round(together.seconds, 2),
        "start_and_collect_seconds": round(wall - together.seconds, 2),
        "largest_loss_difference": max(
            abs(ours.loss - theirs.loss) for ours, theirs in zip(together.history, alone.history, strict=True)
        ),
        "one_process_ndcg@10": _ndcg(alone),
        "processes_ndcg@10": _ndcg(together),
        "processes": processes,
        "threads": threads,
        "steps": steps,
        "users": _USERS * times,
        "items": _ITEMS,
        "pairs": len(pairs),
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
    else:
        for name, value in answer.items():
            results.print(f"{name:28} {value}")


def _graph(n_users: int, n_pairs: int) -> tuple[Pairs, Pairs]:
    """Users of ten tastes with a tenth of the items each, some far more popular; a tenth of the pairs is held back."""
    import numpy as np

    from recsaas_assets.recommender.data.pairs import Pairs

    rng = np.random.default_rng(_SEED)
    share = (np.arange(_ITEMS // 10) + 10.0) ** -0.7
    users = rng.integers(n_users, size=n_pairs)
    items = rng.choice(_ITEMS // 10, n_pairs, p=share / share.sum()) * 10 + users % 10
    last = n_pairs // 10
    return Pairs.of(users[last:], items[last:]), Pairs.of(users[:last], items[:last])


def _ndcg(result: FitResult) -> float:
    return result.history[-1].metrics["ndcg@10"]
