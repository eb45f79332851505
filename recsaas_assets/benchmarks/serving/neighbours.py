"""`recsaas bench neighbours`: what a tenant notices of everything that others do to the service."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.serving.neighbour_floods import Flood, floods, write_lock
from recsaas_assets.benchmarks.serving.serve_data import ServedTenant, invented_contents, serve_tenant
from recsaas_assets.benchmarks.serving.serve_load import Load, LoadResult, percentiles, run_load
from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.serving.serve_requests import requests_by_kind
from recsaas_assets.benchmarks.workplace import Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.release.contents import ReleaseContents
from resources.uploads.contract.columns import Kind

QUIET = "quiet"
_REST_SECONDS = 1.0
HOW_MEASURED = (
    "The real service with the settings' defaults and two tenants. The quiet one asks for recommendations of "
    "users it has not asked for before, at an even rate; a time counts from when the request should have been sent. "
    "Meanwhile the other tenant, or a stranger, sends one kind of request from a process of its own, each connection "
    "the next one as soon as it has its answer. `quiet` is measured before and after all floods, and counts together. "
    "ratio: p95 beside the flood over p95 of quiet. write_lock: another process holds the write lock of the control DB "
    "while the noisy tenant sends events and changes of items. flood_answers counts refusals, too."
)


@dataclass(frozen=True, slots=True)
class NeighbourPlan:
    """The size of both tenants, how often the quiet one asks, and what the floods are.

    Attributes:
        only: names of the floods to measure beside; all when it is empty.
        workers: of the service.
        items: of each tenant.
        users: of each tenant.
        connections: of a flood.
        rate: requests of the quiet tenant a second.
        seconds: beside each flood.
        sources: the checkout whose service is measured; None: this one.
    """

    only: tuple[str, ...] = ()
    workers: int = 1
    items: int = 5_000
    users: int = 10_000
    connections: int = 32
    rate: float = 5.0
    seconds: float = 12.0
    sources: Path | None = None

    def contents(self, tenant: str) -> ReleaseContents:
        """A release of this size, whose ids begin with the name of the tenant."""
        return invented_contents(items=self.items, users=self.users, prefix=f"{tenant}-")


@dataclass(frozen=True, slots=True)
class Beside:
    """Answers of the quiet tenant beside a flood, and the number of answers to the flood."""

    name: str
    seen: LoadResult
    flood: LoadResult | None

    def figures(self, quiet_p95: float) -> dict[str, object]:
        """As JSON; `ratio` is to the quiet tenant's own p95 without any flood."""
        times = percentiles(self.seen.milliseconds)
        slowest = float(self.seen.milliseconds.max()) if self.seen.milliseconds.size else float("nan")
        figures: dict[str, object] = {
            "p50_ms": times["p50_ms"],
            "p95_ms": times["p95_ms"],
            "max_ms": round(slowest, 3),
            "ratio": round(times["p95_ms"] / quiet_p95, 2),
            "answers": int(self.seen.milliseconds.size),
            "errors": self.seen.errors,
        }
        if self.flood is not None:
            figures |= {"flood_answers": self.flood.answers, "flood_errors": self.flood.first_errors[:2]}
        return figures


@dataclass(frozen=True, slots=True)
class Street:
    """A running service and its two tenants."""

    place: Workplace
    server: Served
    noisy: ServedTenant
    calm: ServedTenant
    rate: float
    seconds: float

    def beside(self, flood: Flood | None, pool: ProcessPoolExecutor, *, turn: int = 0) -> Beside:
        """Ask for the quiet tenant while the flood runs; `turn` chooses other users than another turn does."""
        asked = requests_by_kind(self.calm, distinct=int(self.rate * (self.seconds + 2)), seed=100 + turn)["recommend"]
        probe = Load(self.server.port, asked, self.seconds, connections=8, rate=self.rate, warm_seconds=1.0)
        if flood is None:
            return Beside(QUIET, run_load(probe), None)
        load = Load(
            self.server.port,
            flood.requests,
            self.seconds + 2,
            connections=flood.connections,
            rate=flood.rate,
            warm_seconds=0.0,
        )
        with write_lock(self.place, held=flood.locked):
            flooding = pool.submit(run_load, load)
            time.sleep(_REST_SECONDS)
            seen = run_load(probe)
        result = flooding.result()
        time.sleep(_REST_SECONDS)
        return Beside(flood.name, seen, result)


@click.command()
@click.option("--only", multiple=True, metavar="FLOOD", help="Only this flood; may be given several times.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Of the service.")
@click.option("--items", default=5_000, show_default=True, type=click.IntRange(min=100), help="Of each tenant.")
@click.option("--users", default=10_000, show_default=True, type=click.IntRange(min=10), help="Of each tenant.")
@click.option("--connections", default=32, show_default=True, type=click.IntRange(min=1), help="Of a flood.")
@click.option("--rate", default=5.0, show_default=True, type=click.FloatRange(min=0.5), help="Of the quiet tenant.")
@click.option("--seconds", default=12.0, show_default=True, type=click.FloatRange(min=1), help="Beside each flood.")
@click.option(
    "--sources",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Measure the service of another checkout, with this one's clients. Its control DB must have the same form.",
)
@json_option
def neighbours(
    only: tuple[str, ...],
    workers: int,
    items: int,
    users: int,
    connections: int,
    rate: float,
    seconds: float,
    sources: Path | None,
    as_json: bool,
) -> None:
    """Let a tenant ask now and then while others flood the service: how much longer does it wait?"""
    plan = NeighbourPlan(only, workers, items, users, connections, rate, seconds, sources)
    found = measure(plan)
    answer = {"beside": found, "workers": workers, "items": items, "users": users, "connections": connections}
    answer |= {"rate": rate, "seconds": seconds, "how_measured": HOW_MEASURED, "machine": machine()}
    if as_json:
        print_json(answer)
        return
    for name, figures in found.items():
        results.print(f"{name:18} {figures}")


def measure(plan: NeighbourPlan) -> dict[str, dict[str, object]]:
    """Return the quiet tenant's figures, quiet first, then beside each flood.

    Raises:
        click.BadParameter: there is no such flood.
    """
    with workplace() as place, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        notes.print(f"Writing two releases of {plan.items:,} items and {plan.users:,} users …")
        noisy, calm = (
            serve_tenant(
                name,
                invented_contents(items=plan.items, users=plan.users, prefix=f"{name}-"),
                lake=place.lake,
                db=place.db,
            )
            for name in ("noisy", "calm")
        )
        place.upload(noisy.tenant, Kind.ITEMS, noisy.contents.items.select("item_id", "title", "category", "price"))
        wanted = [
            flood for flood in floods(noisy, connections=plan.connections) if not plan.only or flood.name in plan.only
        ]
        if unknown := set(plan.only) - {flood.name for flood in wanted}:
            raise click.BadParameter(f"no such flood: {', '.join(sorted(unknown))}", param_hint="--only")
        notes.print("Starting the service …")
        with service(place, workers=plan.workers, limited=True, sources=plan.sources) as server:
            street = Street(place, server, noisy, calm, plan.rate, plan.seconds)
            before = street.beside(None, pool)
            beside = []
            for turn, flood in enumerate(wanted, 1):
                notes.print(f"Measuring beside {flood.name} …")
                beside.append(street.beside(flood, pool, turn=turn))
            after = street.beside(None, pool, turn=len(wanted) + 1)
    quiet = _together(before, after)
    quiet_p95 = percentiles(quiet.seen.milliseconds)["p95_ms"]
    return {each.name: each.figures(quiet_p95) for each in (quiet, *beside)}


def _together(first: Beside, second: Beside) -> Beside:
    both: NDArray[np.float64] = np.concatenate([first.seen.milliseconds, second.seen.milliseconds])
    a, b = first.seen, second.seen
    seen = LoadResult(
        seconds=a.seconds + b.seconds,
        milliseconds=both,
        errors=a.errors + b.errors,
        first_errors=(*a.first_errors, *b.first_errors),
        cpu_seconds=a.cpu_seconds + b.cpu_seconds,
        answers=a.answers + b.answers,
    )
    return Beside(QUIET, seen, None)
