"""`recsaas demo`: from nothing to live recommendations."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import httpx
import polars as pl

from recsaas_assets.commands.console import Installation, command_actor, notes, print_json, results
from recsaas_assets.commands.data.upload import show_report, upload_file
from recsaas_assets.commands.models.run import run_with_progress
from recsaas_assets.commands.platform.demo_people import log_in_links
from recsaas_assets.commands.platform.up import SAMPLE, say, show_addresses, stoppable
from recsaas_assets.features.background_docs import docs_in_background
from recsaas_assets.platform.processes import Addresses, running_platform
from resources.base.errors import InvalidInput, NotReady, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key, list_api_keys, revoke_api_key
from resources.control_db.tenants import create_tenant, get_tenant
from resources.storage.lake import read_parquet
from resources.uploads.contract.columns import Kind

_KEY_NAME = "demo"
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".parquet")
_SCOPES = ("recommendations:read", "interactions:write", "items:write", "uploads:write")


@click.command()
@click.option("--once", is_flag=True, help="Stop everything and exit when the recommendations are printed.")
@click.option(
    "--dataset",
    default="sample",
    show_default=True,
    help="'sample', or a folder with items, interactions and optionally users (CSV, CSV.gz, TSV or Parquet).",
)
def demo(once: bool, dataset: str) -> None:
    """Make a shop, upload its data, run the whole graph, start everything, and print recommendations."""
    started = time.monotonic()
    site = Installation()
    tenant, files = _sample(site) if dataset == "sample" else _folder(Path(dataset))
    key = _tenant_with_key(site, tenant)
    for kind, file in files.items():
        show_report(upload_file(site, tenant, kind, file), tenant)
    outcome, _ = run_with_progress(site, tenant)
    if not outcome.success:
        raise NotReady(f"The run of tenant {tenant} failed at {outcome.failed_step}: {outcome.message}")
    user = _regular_user(site, tenant)
    notes.print("Starting Dagster and the service (about ten seconds) …")
    settings = site.settings.model_copy(update={"demo_tenant": tenant.value})
    with stoppable(), running_platform(settings, say) as (supervisor, addresses):
        answer = _ask(addresses, key, user)
        print_json(answer)
        notes.print(f"\nLive after {time.monotonic() - started:.0f} s.")
        _explain(addresses, tenant, key, user)
        _invite_in(site, addresses, tenant)
        if once:
            notes.print("Everything stops now; `recsaas up` starts it again.")
        else:
            notes.print("Press Ctrl-C to stop everything.")
            with docs_in_background(site.settings):
                supervisor.wait()


def _sample(site: Installation) -> tuple[TenantId, dict[Kind, Path]]:
    """The invented shop. Written once: the same files again are the same uploads."""
    from recsaas_assets.sample.shop import generate_shop
    from recsaas_assets.sample.writer import write_shop

    folder = site.settings.home / SAMPLE.value
    if not (folder / "interactions.csv").exists():
        notes.print("Inventing an electronics shop: 10,000 users, 5,000 items, 100,000 interactions …")
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        write_shop(generate_shop(end=today), folder)
    return SAMPLE, _files(folder)


def _folder(folder: Path) -> tuple[TenantId, dict[Kind, Path]]:
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder. Say 'sample', or name a folder with items and interactions.")
    slug = "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in folder.resolve().name.lower()).split())
    return TenantId.parse(slug[:63]), _files(folder)


def _files(folder: Path) -> dict[Kind, Path]:
    found = {}
    for kind in (Kind.ITEMS, Kind.USERS, Kind.INTERACTIONS):
        candidates = [folder / f"{kind.value}{ending}" for ending in _ENDINGS]
        present = [path for path in candidates if path.is_file()]
        if present:
            found[kind] = present[0]
    if Kind.INTERACTIONS not in found:
        raise InvalidInput(f"{folder} has no interactions file; expected interactions with {', '.join(_ENDINGS)}.")
    return found


def _tenant_with_key(site: Installation, tenant: TenantId) -> str:
    """The tenant, made if needed, and a fresh demo key: an old one cannot be shown again."""
    now = datetime.now(UTC)
    try:
        get_tenant(site.db, tenant)
    except TenantNotFound:
        create_tenant(site.db, tenant, name=tenant.value.replace("-", " ").title(), now=now, by=command_actor())
    for old in list_api_keys(site.db, tenant):
        if old.name == _KEY_NAME and old.revoked_at is None:
            revoke_api_key(site.db, tenant, old.id, now=now, by=command_actor())
    _, secret = create_api_key(site.db, tenant, name=_KEY_NAME, scopes=_SCOPES, now=now, by=command_actor())
    return secret


def _regular_user(site: Installation, tenant: TenantId) -> str:
    """A user with a typical history, so that the answer shows what the model has learned."""
    weights = read_parquet(site.lake.tenant(tenant).dbt / "interaction_weights.parquet")
    counts = weights.group_by("user_id").len().sort("len", "user_id").filter(pl.col("len") >= 1)
    return str(counts["user_id"][int(counts.height * 0.9)])


def _ask(addresses: Addresses, key: str, user: str) -> object:
    response = httpx.post(
        f"{addresses.service}/api/v1/recommendations",
        json={"user_id": user, "count": 10},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    if not response.is_success:
        raise NotReady(f"The service answered {response.status_code}: {response.text[:500]}")
    return response.json()


def _explain(addresses: Addresses, tenant: TenantId, key: str, user: str) -> None:
    body = json.dumps({"user_id": user, "count": 10}, ensure_ascii=False)
    show_addresses(addresses)
    results.print(f"  Tenant          {tenant}")
    results.print(f"  API key         {key}\n", soft_wrap=True)
    results.print("Ask again:", soft_wrap=True)
    command = (
        f"curl -s {addresses.service}/api/v1/recommendations -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
    results.print(command, soft_wrap=True, markup=False)


def _invite_in(site: Installation, addresses: Addresses, tenant: TenantId) -> None:
    links = log_in_links(site.db, tenant, addresses.service, by=command_actor(), now=datetime.now(UTC))
    results.print("\nLog in, once each, within ten minutes:", soft_wrap=True)
    results.print(f"  As owner of {tenant}   {links.customer}", soft_wrap=True, markup=False)
    results.print(f"  As super admin   {links.office}", soft_wrap=True, markup=False)
