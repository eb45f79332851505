"""`recsaas bench tenants`: many tenants at a time. Does every run succeed, does nothing mix, and what does one cost?"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import polars as pl

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.workplace import LAST_DAY, Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from recsaas_assets.sample.shop import SampleShop, generate_shop
from resources.base.tenant import TenantId
from resources.release.store import ReleaseStore

_ALONE = TenantId("alone")
_USERS, _ITEMS = 150, 60
_FOLDERS = ("uploads", "raw", "dbt", "training", "releases")


@dataclass(frozen=True, slots=True)
class TenantsResult:
    """Outcome of the benchmark. `total_seconds` includes the start of the processes, `seconds_of_tenant` is of runs.

    `failures` are messages of failed runs, of which `lock_errors` speak of a lock. `strangers` are files with an id of
    another tenant. `files_looked_at` counts the files with ids.
    """

    tenants: int
    jobs: int
    interactions_per_tenant: int
    total_seconds: float
    seconds_per_tenant: float
    seconds_of_tenant: dict[str, float]
    failures: dict[str, str]
    lock_errors: int
    not_live: list[str]
    strangers: list[str]
    files_looked_at: int

    @property
    def passed(self) -> bool:
        """Whether every run succeeded, every tenant has a live release and nothing is mixed."""
        return not (self.failures or self.not_live or self.strangers) and self.files_looked_at > 0


@click.command()
@click.option("--tenants", "count", default=12, show_default=True, type=click.IntRange(1, 200))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Tenants at a time.")
@click.option("--interactions", default=2_500, show_default=True, type=click.IntRange(min=100), help="Of each tenant.")
@json_option
def tenants(count: int, jobs: int, interactions: int, as_json: bool) -> None:
    """Backfill many small shops in parallel and look through every file for ids of another. Exits with 1 then."""
    with workplace() as place:
        add_shop(place, _ALONE, interactions=interactions)
        notes.print("One tenant by itself, which also warms the disk cache …")
        started = time.monotonic()
        (alone,) = place.recsaas("backfill", str(_ALONE))["runs"]
        alone_total = time.monotonic() - started
        notes.print(f"{count} tenants, {jobs} at a time …")
        result = measure(place, count=count, jobs=jobs, interactions=interactions)
    answer = {
        "passed": result.passed and alone["success"],
        **asdict(result),
        "alone_total_seconds": round(alone_total, 2),
        "alone_seconds": alone["seconds"],
        "share_of_one_by_one": round(result.total_seconds / (count * alone_total), 3),
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
    else:
        for name, value in answer.items():
            results.print(f"{name:28} {value}", markup=False)
    if not answer["passed"]:
        raise SystemExit(1)


def measure(place: Workplace, *, count: int, jobs: int, interactions: int) -> TenantsResult:
    """Fill `place` with `count` shops and backfill them, `jobs` at a time."""
    names = [f"shop{number:03}" for number in range(1, count + 1)]
    for seed, name in enumerate(names):
        add_shop(place, TenantId(name), interactions=interactions, seed=seed)
    started = time.monotonic()
    runs = place.recsaas("backfill", *names, "--jobs", str(jobs))["runs"]
    total = time.monotonic() - started
    failures = {run["tenant"]: run["message"] for run in runs if not run["success"]}
    strangers, looked_at = _strangers(place, names)
    return TenantsResult(
        tenants=count,
        jobs=jobs,
        interactions_per_tenant=interactions,
        total_seconds=round(total, 2),
        seconds_per_tenant=round(total / count, 2),
        seconds_of_tenant={run["tenant"]: run["seconds"] for run in runs},
        failures=failures,
        lock_errors=sum("lock" in message.lower() for message in failures.values()),
        not_live=[name for name in names if ReleaseStore(place.tenant(TenantId(name))).current() is None],
        strangers=strangers,
        files_looked_at=looked_at,
    )


def add_shop(place: Workplace, tenant: TenantId, *, interactions: int, seed: int = 0) -> None:
    """Create a tenant with a shop whose every id begins with the tenant's name."""
    place.add_tenant(tenant)
    shop = generate_shop(users=_USERS, items=_ITEMS, interactions=interactions, seed=seed, end=LAST_DAY)
    place.upload_shop(tenant, _with_prefix(shop, f"{tenant}-"))


def _with_prefix(shop: SampleShop, prefix: str) -> SampleShop:
    def renamed(frame: pl.DataFrame) -> pl.DataFrame:
        ids = [name for name in ("user_id", "item_id") if name in frame.columns]
        return frame.with_columns(pl.concat_str(pl.lit(prefix), pl.col(name)).alias(name) for name in ids)

    return SampleShop(renamed(shop.items), renamed(shop.users), renamed(shop.interactions), 0, 0)


def _strangers(place: Workplace, names: list[str]) -> tuple[list[str], int]:
    """Files of a tenant with an id that does not begin with its name, and the number of files with ids."""
    found, looked_at = [], 0
    for name in names:
        root = Path(str(place.tenant(TenantId(name)).root))
        for file in sorted(path for folder in _FOLDERS for path in (root / folder).rglob("*.parquet")):
            ids = [column for column in ("user_id", "item_id") if column in pl.read_parquet_schema(file)]
            if ids:
                looked_at += 1
                own = pl.col(ids).drop_nulls().str.starts_with(f"{name}-").all()
                if not all(pl.read_parquet(file, columns=ids).select(own).row(0)):
                    found.append(str(file.relative_to(root.parent)))
    return found, looked_at
