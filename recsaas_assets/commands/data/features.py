"""`recsaas features`: the features of a tenant as they were at a time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, notes, print_json, results
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option(
    "--as-of", required=True, metavar="TIME", help="ISO 8601 with an offset; only earlier interactions count."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write one Parquet file per model into.",
)
@json_option
def features(tenant_id: TenantId, as_of: str, out: Path, as_json: bool) -> None:
    """Build TENANT's features from the interactions before a time, for a model that is evaluated on later ones."""
    from recsaas_assets.features.point_in_time import features_as_of

    site = Installation()
    get_tenant(site.db, tenant_id)
    time = _time(as_of)
    notes.print(f"Building the features of tenant {tenant_id} as of {time.isoformat()} …")
    result = features_as_of(
        site.lake.tenant(tenant_id),
        time,
        out,
        target_dir=site.settings.dbt_target,
        memory_bytes=site.settings.dbt_memory_bytes,
    )
    rows = {node.name: node.rows for node in result.models()}
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                "as_of": time.isoformat(),
                "folder": str(out.absolute()),
                "dbt_invocation_id": result.invocation_id,
                "rows": rows,
            }
        )
        return
    table = Table("model", "rows")
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    results.print(table)
    results.print(f"Wrote {len(rows)} models to {out}.")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a time; write it like 2026-01-31T00:00:00Z.") from error
