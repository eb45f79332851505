"""`recsaas bench training-cost`: seconds and memory from an upload to the release, by the size of the shop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.table import Table

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.workplace import LAST_DAY, Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from recsaas_assets.sample.shop import SampleShop, generate_shop
from resources.base.errors import NotReady
from resources.base.tenant import TenantId
from resources.release.store import ReleaseStore

LARGE = "large catalogue"
BAR_SECONDS = 240.0
"""For the shop named `LARGE`: training, evaluation and release."""
_TENANT = TenantId("bench")
_EVENTS_PER_VIEW = 2
"""So many events are invented for each row: three of five are views, and only these are uploaded."""
_BEFORE_TRAINING = ("loading", "raw", "raw_uploads", "features")
RunShop = Callable[[Workplace], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ShopSize:
    """How large an invented shop is, and what it is in the table for."""

    about: str
    users: int
    items: int
    interactions: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took. `stages` are seconds of each; those after the features add up to `training_seconds`."""

    pairs: int
    algorithm: str
    run_seconds: float
    training_seconds: float
    stages: dict[str, float]
    peak_memory_bytes: int


def sizes(most: int, most_items: int) -> tuple[ShopSize, ...]:
    """Shops of rising size up to so many interactions, catalogues of rising size up to so many items, and one shop
    with a large catalogue where both allow it.
    """
    by_interactions = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
    found = [
        ShopSize("interactions", max(n // 10, 1), min(max(n // 20, 100), 20_000), n)
        for n in by_interactions
        if n <= most
    ]
    n = min(100_000, most)
    found += [ShopSize("items", max(n // 10, 1), items, n) for items in _powers(100, most_items)]
    large = ShopSize(LARGE, 52_000, 57_000, 314_000)
    if large.interactions <= most and large.items <= most_items:
        found.append(large)
    return tuple(found)


def _powers(first: int, last: int) -> list[int]:
    found = []
    while first <= last:
        found.append(first)
        first *= 10
    return found


@click.command(name="training-cost")
@click.option("--most", default=1_000_000, show_default=True, type=click.IntRange(min=1_000), help="Interactions.")
@click.option("--most-items", default=100_000, show_default=True, type=click.IntRange(min=100), help="Items.")
@click.option(
    "--only-large", is_flag=True, help="Only the shop with 52,000 users, 57,000 items and 314,000 interactions."
)
@click.option("--seed", default=7, show_default=True, help="Of the invented shops.")
@json_option
def training_cost(most: int, most_items: int, only_large: bool, seed: int, as_json: bool) -> None:
    """Run the pipeline with default settings on invented shops of rising size, each in a process of its own.

    Shops have popular items and a long tail, and users with tastes, so that items occur together; interactions are
    views.
    """
    wanted = [each for each in sizes(most, most_items) if not only_large or each.about == LARGE]
    answer: dict[str, Any] = {
        "rows": measured(wanted, seed=seed),
        "bar_seconds_of_large_catalogue": BAR_SECONDS,
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
        return
    table = Table("", "users", "items", "interactions", "pairs", "served", "training s", "run s", "peak GB")
    for row in answer["rows"]:
        counts = (f"{row[name]:,}" for name in ("users", "items", "interactions", "pairs"))
        seconds = (f"{row[name]:.1f}" for name in ("training_seconds", "run_seconds"))
        table.add_row(row["about"], *counts, row["algorithm"], *seconds, f"{row['peak_memory_bytes'] / 1e9:.2f}")
    results.print(table)


def measured(wanted: Sequence[ShopSize], *, seed: int) -> list[dict[str, Any]]:
    """The size and the cost of each shop, in order; progress goes to stderr."""
    rows = []
    for size in wanted:
        notes.print(f"{size.interactions:,} interactions of {size.users:,} users with {size.items:,} items …")
        cost = run_cost(size, _in_process_of_its_own, seed=seed)
        notes.print(f"  {cost.run_seconds:.0f} s, {cost.peak_memory_bytes / 1e9:.2f} GB")
        rows.append(asdict(size) | asdict(cost))
    return rows


def run_cost(size: ShopSize, run: RunShop, *, seed: int) -> Cost:
    """Upload an invented shop into an empty installation, and run it.

    Raises:
        NotReady: the run failed.
    """
    with workplace() as site:
        site.add_tenant(_TENANT)
        site.upload_shop(_TENANT, views_of_a_shop(size, seed=seed))
        outcome = run(site)
        if not outcome["success"]:
            raise NotReady(f"The run failed at {outcome['failed_step']}: {outcome['message']}")
        store = ReleaseStore(site.tenant(_TENANT))
        algorithm = store.manifest(store.live_version()).algorithm
        pairs = _pairs(site)
    stages = outcome["seconds_per_stage"]
    training = sum(seconds for stage, seconds in stages.items() if stage not in _BEFORE_TRAINING)
    return Cost(pairs, algorithm, outcome["seconds"], round(training, 2), stages, outcome["peak_memory_bytes"])


def views_of_a_shop(size: ShopSize, *, seed: int) -> SampleShop:
    """A shop of which only views are known, one for each look, so that nearly every interaction is a pair of its own.

    Raises:
        NotReady: too few looks were invented.
    """
    shop = generate_shop(
        size.users, size.items, _EVENTS_PER_VIEW * size.interactions, seed=seed, end=LAST_DAY, habits="drifting"
    )
    views = shop.interactions.filter(shop.interactions["interaction_type"] == "view").tail(size.interactions)
    if len(views) < size.interactions:
        raise NotReady(f"Only {len(views):,} of {size.interactions:,} views were invented; try another seed.")
    return SampleShop(shop.items, shop.users, views, 0, 0)


def _pairs(site: Workplace) -> int:
    from recsaas_assets.recommender.data.dataset import TrainingSet

    return len(TrainingSet.load(site.tenant(_TENANT).training).full)


def _in_process_of_its_own(site: Workplace) -> dict[str, Any]:
    answer: dict[str, Any] = site.recsaas("run", _TENANT.value)
    return answer
