"""`recsaas quality`: how good a tenant's data is, and whether there is enough of it."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.stores.tenant_store import TenantStore
from resources.training.readiness import Readiness, measure_readiness
from resources.uploads.tenant_quality import TenantQuality, tenant_quality

_SHOWN = 20


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def quality(tenant_id: TenantId, as_json: bool) -> None:
    """Show how complete, valid, unique, fresh and usual in size TENANT's data is, and what training still needs."""
    site = Installation()
    measured = tenant_quality(site.store(tenant_id), now=datetime.now(UTC))
    readiness = measure_readiness(TenantStore(site.lake, site.db, tenant_id))
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                "readiness": readiness.model_dump(mode="json"),
                **measured.model_dump(mode="json"),
            }
        )
        return
    _show_readiness(readiness)
    _show_uploads(measured)


def _show_readiness(readiness: Readiness) -> None:
    level = readiness.level.replace("_", " ")
    results.print(f"The data is [bold]{level}[/].")
    for missing in readiness.missing:
        results.print(f"  {missing}")
    for warning in readiness.warnings:
        results.print(f"  {warning}", soft_wrap=True, markup=False)
    counts = readiness.counts
    least = "" if readiness.exact else "at least "
    results.print(
        f"  It has {least}{counts.interactions:,} interactions of {counts.users:,} users with {counts.items:,} items "
        f"on {counts.days:,} days.\n"
    )


def _show_uploads(measured: TenantQuality) -> None:
    table = Table("upload", "rows", "valid", "new", "complete", "unknown items", "hours old", "usual rows")
    for upload in measured.uploads[:_SHOWN]:
        quality = upload.quality
        table.add_row(
            upload.upload_id,
            f"{upload.rows_total:,}",
            _percent(quality.validity),
            _percent(quality.uniqueness),
            _percent(quality.completeness),
            _percent(quality.unknown_item_share),
            "" if quality.freshness_hours is None else f"{quality.freshness_hours:,.1f}",
            "" if quality.volume.usual is None else f"{quality.volume.usual:,.0f}",
        )
    results.print(table)
    hidden = len(measured.uploads) - _SHOWN
    if hidden > 0:
        results.print(f"{hidden} older uploads are not shown; --json has them.")
    for aside in measured.set_aside:
        results.print(f"  {aside.upload_id} is set aside: {aside.reason}", soft_wrap=True, markup=False)
    for unmatched in measured.unmatched_ids:
        results.print(f"  {unmatched.message}", soft_wrap=True, markup=False)
    for upload in measured.uploads[:_SHOWN]:
        for warning in upload.quality.warnings:
            results.print(f"  {upload.upload_id}: {warning}", soft_wrap=True, markup=False)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
