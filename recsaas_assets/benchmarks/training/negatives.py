"""`recsaas bench negatives`: samples a second, beside plain random integers in the same run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import click

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import json_option, print_json, results

# As large as Gowalla's training pairs, which the published figures of LightGCN are for.
_USERS, _ITEMS, _PAIRS = 29_858, 40_981, 810_128
_REPEATS = 5


@click.command()
@click.option("--ratio", default=4, show_default=True, type=click.IntRange(min=1), help="Negatives per positive.")
@click.option("--threads", default=0, help="Threads of the sampler; 0, the default: one per core.")
@click.option("--seed", default=7, show_default=True, help="Of the graph and of the samples.")
@json_option
def negatives(ratio: int, threads: int, seed: int, as_json: bool) -> None:
    """Draw negatives for every pair of a random graph as large as Gowalla, in random order of the pairs."""
    import numpy as np

    from recsaas_assets.recommender.data.negatives import UserNegatives
    from recsaas_assets.recommender.data.pairs import Pairs

    rng = np.random.default_rng(seed)
    # Popular items are more popular, as in any shop; what is drawn twice falls away, hence twice as many.
    share = (np.arange(_ITEMS) + 10.0) ** -0.7
    drawn = rng.choice(_ITEMS, 2 * _PAIRS, p=share / share.sum())
    cells = np.unique(rng.integers(_USERS, size=2 * _PAIRS) * _ITEMS + drawn)
    cells = rng.permutation(cells)[:_PAIRS]
    pairs = Pairs.of(cells // _ITEMS, cells % _ITEMS)
    users = rng.permutation(pairs.user_row)
    workers = threads or os.cpu_count() or 1
    count = len(users) * ratio
    figures: dict[str, object] = {}
    # With one thread: numpy draws the same number of integers in one call, and knows no user.
    plain = count / _best(lambda: rng.integers(_ITEMS, size=count, dtype=np.int32))
    for mode in ("uniform", "popularity"):
        started = time.perf_counter()
        sampler = UserNegatives.of(pairs, _USERS, _ITEMS, mode=mode, threads=workers)
        figures[f"{mode}_setup_seconds"] = round(time.perf_counter() - started, 3)
        speed = count / _best(lambda: sampler.draw(users, ratio, rng))  # noqa: B023 (called at once)
        figures[f"{mode}_samples_per_second"] = round(speed)
        figures[f"{mode}_share_of_plain_integers"] = round(speed / plain, 3)
    answer = {
        **figures,
        "plain_integers_per_second": round(plain),
        "users": _USERS,
        "items": _ITEMS,
        "pairs": len(pairs),
        "negatives_per_positive": ratio,
        "threads": workers,
        "seed": seed,
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
    else:
        for name, value in answer.items():
            results.print(f"{name:32} {value:,}" if isinstance(value, int) else f"{name:32} {value}")


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few repeats: the others were disturbed."""
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
