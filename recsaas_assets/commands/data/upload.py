"""`recsaas upload`: check a file against the contract and store it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from recsaas_assets.commands.mapping_options import given_mapping, mapping_options
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.contract.quality import UploadQuality
from resources.uploads.contract.report import UploadReport
from resources.uploads.dialects.header import shown_separator
from resources.uploads.headers.mapping import laid_over, mapping_of
from resources.uploads.store import read_report, rejected_csv
from resources.uploads.store_in_child import store_in_child

_ERRORS_SHOWN = 10
_PROGRESS_FROM_BYTES = 32 * 1024**2
"""A shorter file is stored before anybody has read how far it is."""


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--validate-only", is_flag=True, help="Check the file, show ten rows, and store nothing.")
@mapping_options
@json_option
def upload(tenant_id: TenantId, kind: str, file: Path, validate_only: bool, as_json: bool, **mapping: Any) -> None:
    """Check FILE and store what can be accepted; say row by row what cannot.

    A mapping says how this file is read, over what is set for all of them (`recsaas tenant mapping`).

    Exits with 1 when the file is refused or all its rows are rejected.
    """
    given = given_mapping(**mapping)
    report = upload_file(Installation(), tenant_id, Kind(kind), file, validate_only=validate_only, mapping=given)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        show_report(report, tenant_id)
    if report.status == "rejected":
        raise SystemExit(1)


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("upload_id", metavar="UPLOAD")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; standard output if none.")
@json_option
def rejected(tenant_id: TenantId, upload_id: str, out: Path | None, as_json: bool) -> None:
    """Write the rejected rows of UPLOAD as CSV, each with its line and reasons, to mend and upload alone."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    if as_json and out is None:
        raise click.UsageError("Name a file with --out: the rows themselves are CSV.")
    rows = read_report(site.lake, tenant_id, upload_id).rows_rejected
    chunks = rejected_csv(site.lake, tenant_id, upload_id)
    with click.open_file("-" if out is None else str(out), "wb") as target:
        for chunk in chunks:
            target.write(chunk)
    if as_json:
        print_json({"upload_id": upload_id, "rows": rows, "file": str(out)})
    elif out is not None:
        results.print(f"{rows:,} rejected rows of {upload_id} are in {escape(str(out))}.")


def upload_file(
    site: Installation,
    tenant: TenantId,
    kind: Kind,
    file: Path,
    *,
    validate_only: bool = False,
    mapping: Mapping[str, Any] | None = None,
) -> UploadReport:
    """Store one local file as an upload of `tenant`; a large one shows how far it is on stderr.

    Raises:
        InvalidInput: the mapping leads nowhere.
        TenantNotFound, UploadRefused, TooLarge: nothing was stored.
    """
    incoming = IncomingUpload(
        kind,
        file,
        filename=file.name,
        origin="cli",
        received_at=datetime.now(UTC),
        validate_only=validate_only,
        by=command_actor(),
    )
    settings = get_tenant(site.db, tenant).settings
    if mapping is not None:
        settings = laid_over(settings, kind, mapping_of(kind, mapping))
    policy = UploadPolicy(settings, site.settings.max_upload_bytes, UploadLimits.of(site.settings))

    def store(on_progress: Callable[[int], None] | None) -> UploadReport:
        return store_in_child(site.store(tenant), incoming, policy, on_progress=on_progress)

    size = file.stat().st_size
    if size < _PROGRESS_FROM_BYTES:
        return store(None)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task(f"Checking {escape(file.name)}", total=size)

        def show(done: int) -> None:
            verb = "Checking" if done < size else "Comparing and storing"
            progress.update(task, completed=done, description=f"{verb} {escape(file.name)}")

        return store(show)


def show_report(report: UploadReport, tenant: TenantId) -> None:
    """Print a report for a person."""
    filename = escape(report.filename)
    if report.already_stored:
        results.print(f"{filename} is stored already as {report.upload_id}; nothing changed. It was:")
    verb = "Checked" if report.validate_only else "Uploaded"
    results.print(
        f"{verb} {filename}: {report.rows_total:,} rows, [green]{report.rows_accepted:,} accepted[/], "
        f"{report.rows_rejected:,} rejected, {report.rows_duplicate:,} duplicate ({report.status})."
    )
    _show_findings(report)
    for rule, count in report.errors_by_rule.items():
        results.print(f"  {count:,} × {escape(rule)}")
    if report.validation_errors:
        table = Table("line", "column", "error", "value")
        for error in report.validation_errors[:_ERRORS_SHOWN]:
            cells = (error.column or "", error.error, error.value or "")
            table.add_row(str(error.row), *map(escape, cells))  # "[/b]" in a file is no markup of ours
        results.print(table)
    if report.rows_rejected and not report.validate_only:
        results.print(f"All rejected rows, to mend and upload alone: recsaas rejected {tenant} {report.upload_id}")
    if report.quality is not None:
        _show_quality(report.quality)


def _show_findings(report: UploadReport) -> None:
    """Print how the file was read, what somebody should look at, and the rows of a check."""
    reading = report.reading
    if reading is not None and reading.separator is not None:
        results.print(
            f"  Read as {reading.encoding} text with {shown_separator(reading.separator)} between cells and the header "
            f"on line {reading.header_line}."
        )
    for sign, findings in (("·", report.notes), ("[yellow]![/]", report.warnings)):
        for each in findings:
            where = f"{each.column}: " if each.column else ""
            examples = f" ({', '.join(each.examples)})" if each.examples else ""
            results.print(f"  {sign} {each.count:,} × {escape(where)}{escape(each.message)}{escape(examples)}")
    if report.preview:
        shown = [name for name in report.preview[0] if any(row[name] is not None for row in report.preview)]
        table = Table(*map(escape, shown))
        for row in report.preview:
            table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in shown))
        results.print(table)


def _show_quality(quality: UploadQuality) -> None:
    shares = {
        "valid": quality.validity,
        "new": quality.uniqueness,
        "optional values filled": quality.completeness,
        "items unknown": quality.unknown_item_share,
    }
    shown = [f"{share:.1%} {name}" for name, share in shares.items() if share is not None]
    if quality.freshness_hours is not None:
        shown.append(f"newest interaction {quality.freshness_hours:,.0f} hours old")
    results.print(f"Quality: {', '.join(shown)}.")
    for warning in quality.warnings:
        results.print(f"  [yellow]![/] {escape(warning)}")
