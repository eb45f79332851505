"""The data sets of the model benchmarks, brought to a training set by the product's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.workplace import LAST_DAY, Workplace, workplace
from recsaas_assets.commands.console import notes, print_json, results
from resources.base.errors import InvalidInput
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import list_uploads
from resources.storage.lake import TenantLake, read_parquet, write_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind

if TYPE_CHECKING:
    import polars as pl

    from recsaas_assets.recommender.data.dataset import TrainingSet

SAMPLE = "sample"
PUBLIC = ("online-retail", "movielens-100k")
DATASETS = (*PUBLIC, SAMPLE)
_ENDINGS = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One data set as a tenant of a workplace: raw tables and dbt models are built, nothing is trained."""

    name: str
    workplace: Workplace
    tenant: TenantLake
    training_set: TrainingSet


def public_data() -> Path:
    """Folder with the public data sets: RECSAAS_BENCH_DATA, else `shared/data` beside the checkout.

    Raises:
        InvalidInput: there is no such folder.
    """
    folder = Path(load_settings().bench_data or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        raise InvalidInput(f"There are no data sets in {folder}; set RECSAAS_BENCH_DATA to the folder that holds them.")
    return folder


@contextmanager
def prepared(name: str) -> Iterator[Prepared]:
    """Upload a data set into an empty installation and build its training set; everything is removed at the end.

    Raises:
        InvalidInput: the data set is not there.
    """
    from recsaas_assets.recommender.data.dataset import build_training_set

    tenant = TenantId(name)
    with workplace() as site:
        site.add_tenant(tenant)
        _upload(site, tenant, name)
        signals = build_signals(site, tenant)
        lake = site.tenant(tenant)
        catalogue = read_parquet(lake.dbt / "stg_items.parquet")["item_id"]
        cap = get_tenant(site.db, tenant).settings.weights.cap
        yield Prepared(name, site, lake, build_training_set(signals, catalogue, cap))


def build_signals(site: Workplace, tenant: TenantId) -> pl.DataFrame:
    """Build raw tables and dbt models of everything that the tenant has uploaded; return the signals, one a row."""
    from recsaas_assets.features.dbt_runner import run_dbt
    from recsaas_assets.ingestion.raw_tables import settings_table, uploads_table, write_raw_table

    lake = site.tenant(tenant)
    for kind in Kind:
        write_raw_table(TenantStore(site.lake, site.db, tenant), kind)
    write_parquet(lake.raw("raw_uploads"), uploads_table(list_uploads(site.db, tenant)))
    write_parquet(lake.raw("tenant_settings"), settings_table(get_tenant(site.db, tenant).settings))
    run_dbt(["run"], tenant_lake=lake, target_dir=site.settings.home / "dbt")
    return read_parquet(lake.dbt / "int_interaction_signals.parquet")


def dataset_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--dataset`, repeatable, as `names`."""
    chosen = click.Choice(DATASETS)
    option = click.option(
        "--dataset", "names", multiple=True, default=PUBLIC, show_default=True, type=chosen, help="Repeatable."
    )
    return option(command)


def print_measured(
    names: Sequence[str], measure: Callable[[Prepared], dict[str, Any]], *, seed: int, as_json: bool
) -> None:
    """Measure each data set and print what was found."""
    answer: dict[str, Any] = {"seed": seed}
    for name in names:
        notes.print(f"{name} …")
        with prepared(name) as data:
            answer[name] = measure(data)
    answer["machine"] = machine()
    if as_json:
        print_json(answer)
        return
    for name in names:
        results.print_json(data={name: answer[name]})


def _upload(site: Workplace, tenant: TenantId, name: str) -> None:
    if name == SAMPLE:
        from recsaas_assets.sample.shop import generate_shop

        site.upload_shop(tenant, generate_shop(end=LAST_DAY))
        return
    folder = public_data() / name
    for kind in (Kind.ITEMS, Kind.USERS, Kind.INTERACTIONS):
        found = [path for path in (folder / f"{kind.value}{ending}" for ending in _ENDINGS) if path.is_file()]
        if found:
            site.upload_file(tenant, kind, found[0])
        elif kind is Kind.INTERACTIONS:
            raise InvalidInput(f"{folder} has no interactions file; set RECSAAS_BENCH_DATA to the folder of {name}.")
