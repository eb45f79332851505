"""`recsaas decisions`: what the service has answered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.decisions.table import DECISION_SCHEMA, as_tables
from resources.storage.table_file import check_table_file, write_table


@click.group()
def decisions() -> None:
    """The decision log: every answer that was given."""


@decisions.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--to", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .parquet file.")
@click.option("--since", metavar="TIME", help="Only answers from this time on (ISO 8601, with an offset).")
@json_option
def export(tenant_id: TenantId, to: Path, since: str | None, as_json: bool) -> None:
    """Write the tenant's answers to a file, one row each, with the items, their positions and propensities."""
    check_table_file(to, suffixes=(".parquet",))
    site = Installation()
    get_tenant(site.db, tenant_id)
    blocks = site.decisions.of_tenant(tenant_id, since=_time(since) if since is not None else None)
    rows = write_table(to, as_tables(blocks), DECISION_SCHEMA)
    if as_json:
        print_json({"tenant": str(tenant_id), "decisions": rows, "file": str(to)})
    else:
        results.print(f"Wrote {rows:,} answers to tenant {tenant_id} to {to}.")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--since {text[:40]!r} is not a time; write it like 2026-01-31T00:00:00Z.") from error
    if time.tzinfo is None:
        raise InvalidInput(f"--since {text[:40]!r} has no offset; add Z for UTC.")
    return time
