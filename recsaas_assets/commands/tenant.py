"""`recsaas tenant`: create and list tenants."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.control_db.api_keys import SCOPES, create_api_key
from resources.control_db.tenants import create_tenant, list_tenants
from resources.tenant import TenantId
from resources.uploads.contract import Kind


@click.group()
def tenant() -> None:
    """Create and list tenants."""


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--name", help="Name for people; the id when left out.")
@json_option
def create(tenant_id: TenantId, name: str | None, as_json: bool) -> None:
    """Create a tenant and an API key for it. The key is shown once."""
    site, now = Installation(), datetime.now(UTC)
    made = create_tenant(site.db, tenant_id, name=name or str(tenant_id), now=now)
    _, secret = create_api_key(site.db, tenant_id, name="first key", scopes=SCOPES, now=now)
    for kind in Kind:
        folder = site.lake.landing(tenant_id, kind.value)
        if isinstance(folder, Path):  # an object store has no folders
            folder.mkdir(parents=True, exist_ok=True)
    if as_json:
        print_json({"tenant": str(made.id), "name": made.name, "status": made.status, "api_key": secret})
    else:
        results.print(f"Tenant [bold]{made.id}[/] is ready. Its API key, shown only now:\n\n  {secret}\n")
        results.print(f"Next: recsaas upload {made.id} items items.csv")


@tenant.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all tenants."""
    tenants = list_tenants(Installation().db)
    if as_json:
        fields = [
            {"tenant": str(t.id), "name": t.name, "status": t.status, "created_at": t.created_at.isoformat()}
            for t in tenants
        ]
        print_json({"tenants": fields})
        return
    if not tenants:
        results.print("There are no tenants yet. Make one: recsaas tenant create my-shop")
        return
    table = Table("tenant", "name", "status", "created")
    for t in tenants:
        table.add_row(str(t.id), t.name, t.status, f"{t.created_at:%Y-%m-%d %H:%M}")
    results.print(table)
