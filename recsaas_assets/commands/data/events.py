"""`recsaas events`: tracked events in the lake."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.event_exports import list_event_exports
from resources.control_db.tenants import get_tenant
from resources.events.export import export_events, forget_damaged_pieces
from resources.stores.locks import run_lock


@click.group()
def events() -> None:
    """Export tracked events to the lake."""


@events.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--again", is_flag=True, help="First check every exported piece, and export damaged ones anew.")
@json_option
def export(tenant_id: TenantId, again: bool, as_json: bool) -> None:
    """Export the tenant's new events now, instead of waiting for the sensor or the next run."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    with run_lock(site.db, site.settings.home, tenant_id, wait_seconds=60.0):
        damaged = forget_damaged_pieces(site.store(tenant_id)) if again else 0
        while export_events(site.store(tenant_id), now=datetime.now(UTC)):
            pass
        ledger = list_event_exports(site.db, tenant_id)
    rows, last = sum(piece.rows for piece in ledger), ledger[-1].last_seq if ledger else 0
    if as_json:
        print_json({"tenant": str(tenant_id), "events": rows, "last_seq": last, "exported_again": damaged})
    else:
        results.print(f"{rows:,} events of tenant {tenant_id} are in the lake, up to number {last:,}.")
        if damaged:
            results.print(f"{damaged} pieces were damaged, or came after one that was, and were exported again.")
