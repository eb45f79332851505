"""`recsaas uploads`: what a tenant has stored, and how to take one back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import UploadRecord, get_upload, list_uploads
from resources.uploads.withdraw import withdraw as withdraw_upload


@click.group()
def uploads() -> None:
    """List uploads and withdraw one. `recsaas upload` sends a file."""


@uploads.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List the uploads of TENANT, newest first, those that do not count any more included."""
    db = Installation().db
    get_tenant(db, tenant_id)
    found = list_uploads(db, tenant_id)[::-1]
    if as_json:
        print_json({"tenant": str(tenant_id), "uploads": [_document(upload) for upload in found]})
        return
    if not found:
        results.print(f"Tenant {tenant_id} has no uploads.")
        return
    table = Table("upload", "file", "stored", "accepted", "rejected", "duplicate", "counts")
    for upload in found:
        rows = (f"{n:,}" for n in (upload.rows_accepted, upload.rows_rejected, upload.rows_duplicate))
        stored = f"{upload.created_at:%Y-%m-%d %H:%M}"
        table.add_row(upload.upload_id, escape(upload.filename), stored, *rows, escape(_counts(upload)))
    results.print(table)


@uploads.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("upload_id", metavar="UPLOAD")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def withdraw(tenant_id: TenantId, upload_id: str, yes: bool, as_json: bool) -> None:
    """Take UPLOAD of TENANT back: its rows stop counting with the next run, its report and its trace stay."""
    db = Installation().db
    get_tenant(db, tenant_id)
    if not yes:
        rows = get_upload(db, tenant_id, upload_id).rows_accepted
        click.confirm(f"Withdraw {upload_id} of tenant {tenant_id} with {rows:,} rows?", abort=True, err=True)
    done = withdraw_upload(db, tenant_id, upload_id, now=datetime.now(UTC), by=command_actor())
    if as_json:
        print_json({"upload": _document(done.upload), "send_again": list(done.send_again)})
        return
    results.print(f"{upload_id} is withdrawn: its rows stop counting with the next run.")
    if done.send_again:
        results.print("Rows of these may have been left out as its duplicates; send their files again:")
        results.print("  " + ", ".join(done.send_again))


def _document(upload: UploadRecord) -> dict[str, object]:
    return {name: value for name, value in asdict(upload).items() if name not in ("tenant", "sequence")}


def _counts(upload: UploadRecord) -> str:
    if upload.withdrawn_at is not None:
        return f"withdrawn {upload.withdrawn_at:%Y-%m-%d %H:%M}"
    return "yes" if upload.set_aside_at is None else f"set aside: {upload.set_aside_reason}"
