"""`recsaas user`: what is stored about one user of a tenant, and their erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import (
    SHOP_ID,
    TENANT,
    Installation,
    command_actor,
    json_option,
    notes,
    print_json,
    results,
)
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.erasure.certificate import nothing_erased
from resources.erasure.export import export_user
from resources.erasure.jobs import UserEraser, erase_now
from resources.jobs.kinds.erasures import list_erasures, request_erasure


@click.group()
def user() -> None:
    """Export and erase a user of a tenant."""


@user.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("user_id", metavar="USER", type=SHOP_ID)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead.")
@json_option
def export(tenant_id: TenantId, user_id: str, out: Path | None, as_json: bool) -> None:
    """Show everything that is stored about USER; --json and --out have every row."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    found = export_user(site.store(tenant_id), site.decisions, user_id, now=datetime.now(UTC), by=command_actor())
    if out is not None:
        out.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
        notes.print(f"Wrote {out}.")
    elif as_json:
        print_json(found.model_dump(mode="json"))
    else:
        features = sum(len(rows) for rows in found.features.values())
        results.print(f"User [bold]{escape(user_id)}[/] of tenant {tenant_id}:")
        results.print(f"  {len(found.uploads):,} accepted and {len(found.rejected):,} rejected rows of uploads")
        results.print(f"  {len(found.events):,} tracked events, {len(found.decisions):,} answers")
        results.print(f"  {features:,} rows of features")
        results.print(f"  in the training set: {'yes' if found.in_training_set else 'no'}")
        results.print(f"  in {len(found.releases):,} releases; the live one knows {len(found.seen_items):,} items seen")


@user.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("user_id", metavar="USER", type=SHOP_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase(tenant_id: TenantId, user_id: str, yes: bool, as_json: bool) -> None:
    """Erase USER everywhere and print the certificate. Waits for a run of the tenant to end."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    if not yes:
        click.confirm(f"Erase user {user_id} of tenant {tenant_id}? This cannot be undone.", abort=True, err=True)
    asked = request_erasure(site.db, tenant_id, user_id, datetime.now(UTC), by=command_actor())
    eraser = UserEraser(site.lake, site.db, site.decisions, lambda: datetime.now(UTC), site.settings.home, 60.0)
    certificate = erase_now(eraser, asked)
    if not certificate.found:
        raise nothing_erased(user_id, certificate)
    if as_json:
        print_json(certificate.model_dump(mode="json"))
        return
    table = Table("where", "rows", "what became of them")
    for finding in certificate.found:
        table.add_row(finding.place, f"{finding.rows:,}", finding.done)
    results.print(table)
    if certificate.retrain:
        results.print("The next run trains without the user; a running platform starts it by itself. Until then:")
        for line in certificate.retrain:
            results.print(f"  - {line}")
    results.print("Out of reach:")
    for line in certificate.out_of_reach:
        results.print(f"  - {line}")
    results.print(f"{certificate.erasure_id} is done.")


@user.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def erasures(tenant_id: TenantId, as_json: bool) -> None:
    """List the tenant's erasures, pending and done."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    found = list_erasures(site.db, tenant_id)
    if as_json:
        fields = [
            {
                "found": bool((each.certificate or {}).get("found")) if each.status == "completed" else None,
                "erasure_id": each.id,
                "status": each.status,
                "requested_at": each.requested_at.isoformat(),
                "completed_at": each.completed_at.isoformat() if each.completed_at else None,
                "retrained_run": each.retrained_run,
                "certificate": each.certificate if each.status == "completed" else None,
            }
            for each in found
        ]
        print_json({"tenant": str(tenant_id), "erasures": fields})
        return
    table = Table("erasure", "status", "requested", "completed", "trained again")
    for each in found:
        done = f"{each.completed_at:%Y-%m-%d %H:%M}" if each.completed_at else ""
        again = each.retrained_run or ("due" if each.completed_at else "")
        nothing = each.status == "completed" and not (each.certificate or {}).get("found")
        status = "nothing found" if nothing else each.status
        table.add_row(each.id, status, f"{each.requested_at:%Y-%m-%d %H:%M}", done, again)
    results.print(table)
