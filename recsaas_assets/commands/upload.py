"""`recsaas upload`: check a file against the contract and store it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.control_db.tenants import get_tenant
from resources.tenant import TenantId
from resources.uploads.contract import Kind
from resources.uploads.report import UploadReport
from resources.uploads.store import store_upload

_ERRORS_SHOWN = 10


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--validate-only", is_flag=True, help="Check the file and store nothing.")
@json_option
def upload(tenant_id: TenantId, kind: str, file: Path, validate_only: bool, as_json: bool) -> None:
    """Check FILE and store what can be accepted; say row by row what cannot.

    Exits with 1 when the file is refused or no row of it is accepted.
    """
    report = upload_file(Installation(), tenant_id, Kind(kind), file, validate_only=validate_only)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        show_report(report)
    if report.status == "rejected":
        raise SystemExit(1)


def upload_file(
    site: Installation, tenant: TenantId, kind: Kind, file: Path, *, validate_only: bool = False
) -> UploadReport:
    """Store one local file as an upload of `tenant`.

    Raises:
        TenantNotFound, UploadRefused, TooLarge: nothing was stored.
    """
    record = get_tenant(site.db, tenant)
    return store_upload(
        site.lake,
        site.db,
        tenant,
        kind,
        file,
        filename=file.name,
        source="cli",
        settings=record.settings,
        now=datetime.now(UTC),
        max_bytes=site.settings.max_upload_bytes,
        validate_only=validate_only,
    )


def show_report(report: UploadReport) -> None:
    """Print a report for a person."""
    verb = "Checked" if report.validate_only else "Uploaded"
    results.print(
        f"{verb} {report.filename}: {report.rows_total:,} rows, [green]{report.rows_accepted:,} accepted[/], "
        f"{report.rows_rejected:,} rejected, {report.rows_duplicate:,} duplicate ({report.status})."
    )
    for rule, count in report.errors_by_rule.items():
        results.print(f"  {count:,} × {rule}")
    if report.validation_errors:
        table = Table("line", "column", "error", "value")
        for error in report.validation_errors[:_ERRORS_SHOWN]:
            table.add_row(str(error.row), error.column or "", error.error, error.value or "")
        results.print(table)
