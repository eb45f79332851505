"""`recsaas bench soak`: many tenants, of which the cache holds some, for minutes: memory and tail."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import click
import numpy as np

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.serving.serve import NO_CACHE, SHARE_OF_SATURATION
from recsaas_assets.benchmarks.serving.serve_data import ServedTenant, invented_contents, serve_tenant
from recsaas_assets.benchmarks.serving.serve_load import LoadResult
from recsaas_assets.benchmarks.serving.serve_measure import Client, figures, load_client
from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.serving.serve_requests import requests_by_kind
from recsaas_assets.benchmarks.workplace import workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.ranker.ranker import Ranker
from resources.release.load import load_release

_SAMPLES = 120
_REQUESTS_PER_TENANT = 200
_DRAWN = 10_000
_EVENTS_IN = 20
HOW_MEASURED = (
    "Tenants are drawn with probability 1 / rank, so the service keeps loading and dropping releases; one request in "
    "twenty is an event, the others are recommend, recommend_new_user, recommend_filtered and similar in equal parts. "
    "Saturation is measured first with the same requests, then 60 % of it is sent at a constant rate; a time counts "
    "from when the request should have been sent. memory_bytes: of all processes of the service, shared pages once. "
    "memory_growth: median of the last fifth of the samples over that of the second fifth, minus 1. The cache of "
    "repeated answers is off."
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the service, second by second."""

    seconds: tuple[float, ...]
    bytes: tuple[int, ...]

    @property
    def growth(self) -> float:
        """Growth of memory from the second fifth of the time to the last; the first is warming up."""
        fifth = max(1, len(self.bytes) // 5)
        before, after = self.bytes[fifth : 2 * fifth] or self.bytes[:1], self.bytes[-fifth:]
        return float(np.median(after) / np.median(before)) - 1


@click.command()
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(min=0.05), help="Of the soak.")
@click.option("--tenants", default=50, show_default=True, type=click.IntRange(min=2), help="With a release each.")
@click.option("--cached", default=15, show_default=True, type=click.IntRange(min=1), help="Releases the cache holds.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Of the service.")
@click.option("--items", default=2_000, show_default=True, type=click.IntRange(min=100), help="Of each tenant.")
@click.option("--users", default=4_000, show_default=True, type=click.IntRange(min=10), help="Of each tenant.")
@click.option("--connections", default=16, show_default=True, type=click.IntRange(min=1), help="At saturation.")
@json_option
def soak(
    minutes: float, tenants: int, cached: int, workers: int, items: int, users: int, connections: int, as_json: bool
) -> None:
    """Serve more tenants than the cache holds for minutes: is memory flat, and what is the tail of the latency?"""
    with workplace() as place:
        notes.print(f"Writing {tenants} releases of {items:,} items and {users:,} users …")
        contents = invented_contents(items=items, users=users)
        shops = [serve_tenant(f"soak-{n}", contents, lake=place.lake, db=place.db) for n in range(tenants)]
        limit = cached * _size(shops[0])
        requests = mixed_requests(shops)
        variables = {"RECSAAS_RELEASE_CACHE_BYTES": str(limit), **NO_CACHE}
        with service(place, workers=workers, variables=variables) as server:
            notes.print("Looking for saturation …")
            with load_client(seconds=min(15.0, 30 * minutes), connections=connections) as client:
                saturation = figures(client.send(server.port, requests))
            rate = SHARE_OF_SATURATION * float(str(saturation["requests_per_second"]))
            notes.print(f"Sending {rate:,.0f} requests a second for {minutes:g} minutes …")
            with load_client(seconds=60 * minutes, connections=connections) as client:
                steady, memory = _watched(server, client, requests, rate=max(rate, 1.0), seconds=60 * minutes)
    answer = {
        "saturation": saturation,
        "at_60_percent": figures(steady),
        "memory_growth": round(memory.growth, 4),
        "memory_peak_bytes": max(memory.bytes),
        "memory_bytes": dict(zip(memory.seconds, memory.bytes, strict=True)),
        "release_cache_bytes": limit,
        "tenants": tenants,
        "cached": cached,
        "minutes": minutes,
        "workers": workers,
        "items": items,
        "users": users,
        "how_measured": HOW_MEASURED,
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
        return
    for name in ("saturation", "at_60_percent", "memory_growth", "memory_peak_bytes", "release_cache_bytes"):
        results.print(f"{name:20} {answer[name]}")


def mixed_requests(shops: list[ServedTenant], *, seed: int = 7) -> tuple[bytes, ...]:
    """Return requests of all shops, mixed: the first shop has most of them, the second half as many, and so on."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, len(shops) + 1)
    of_shop = [requests_by_kind(shop, distinct=_REQUESTS_PER_TENANT) for shop in shops]
    kinds = [kind for kind in of_shop[0] if kind != "event"]
    mixed = []
    for number, shop in enumerate(rng.choice(len(shops), _DRAWN, p=chances / chances.sum()).tolist()):
        kind = "event" if number % _EVENTS_IN == 0 else kinds[number % len(kinds)]
        mixed.append(of_shop[shop][kind][int(rng.integers(_REQUESTS_PER_TENANT))])
    return tuple(mixed)


def _size(shop: ServedTenant) -> int:
    """Return what the release of a shop counts for in the service's cache."""
    store = shop.store
    pointer = store.pointer()
    assert pointer is not None
    return Ranker(load_release(store.directory(pointer.version), cache=store.cache, marks=store.marks)).bytes_in_memory


def _watched(
    server: Served, client: Client, requests: tuple[bytes, ...], *, rate: float, seconds: float
) -> tuple[LoadResult, Memory]:
    """Send the load and look at the service's memory meanwhile."""
    times: list[float] = []
    sizes: list[int] = []
    start = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        sending: Future[LoadResult] = pool.submit(client.send, server.port, requests, rate=rate)
        while not sending.done():
            times.append(round(time.monotonic() - start, 1))
            sizes.append(server.memory_bytes())
            time.sleep(seconds / _SAMPLES)
        return sending.result(), Memory(tuple(times), tuple(sizes))
