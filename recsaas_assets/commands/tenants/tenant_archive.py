"""`recsaas tenant export` and `import`: a whole tenant into a file, and out of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.base.tenant import TenantId
from resources.stores.locks import run_lock
from resources.tenancy.archive import total
from resources.tenancy.exporting import export_tenant
from resources.tenancy.exports import note_export
from resources.tenancy.importing import import_tenant

_WAIT_SECONDS = 600.0


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask before a file is replaced.")
@json_option
def export(tenant_id: TenantId, file: Path, yes: bool, as_json: bool) -> None:
    """Write everything of TENANT into FILE (.tar or .tar.gz), which another installation can import.

    Waits for a run of the tenant to end. Keys, members and passwords are left out.
    """
    site, now = Installation(), datetime.now(UTC)
    if file.exists() and not yes:
        click.confirm(f"Replace {file}?", abort=True, err=True)
    with (
        run_lock(site.db, site.settings.home, tenant_id, wait_seconds=_WAIT_SECONDS, on_wait=notes.print),
        _progress(f"Exporting {tenant_id}") as told,
    ):
        manifest = export_tenant(site.store(tenant_id), file, now=now, told=told)
    note_export(site.db, tenant_id, str(file.name), by=command_actor(), now=now)
    size = file.stat().st_size
    if as_json:
        fields = manifest.model_dump(mode="json", exclude={"members"})
        print_json(fields | {"file": str(file), "bytes": size})
        return
    results.print(
        f"Wrote {escape(str(file))}: {size:,} bytes, {manifest.uploads:,} uploads, {total(manifest.rows):,} rows, "
        f"{manifest.releases:,} releases. Left out:"
    )
    for line in manifest.left_out:
        results.print(f"  - {line}")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "as_id", metavar="NEW_ID", type=TENANT, help="Another id than the one in the archive.")
@json_option
def import_(file: Path, as_id: TenantId | None, as_json: bool) -> None:
    """Make a tenant from FILE. Every byte is checked first, and nothing is to be seen before all of it is there."""
    site = Installation()
    with _progress(f"Importing {file.name}") as told:
        made = import_tenant(
            site.lake, site.db, file, as_id=as_id, by=command_actor(), now=datetime.now(UTC), told=told
        )
    if as_json:
        print_json({"tenant": str(made.id), "name": made.name, "status": made.status})
        return
    results.print(f"Tenant [bold]{made.id}[/] is here, and answers from its live release. It has no key yet:")
    results.print(f"  recsaas tenant key create {made.id} --name … --scope …")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, float], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task(title, total=1.0)

        def told(what: str, share: float) -> None:
            shown = f"{title}: {escape(what[:60])}"
            progress.update(task, description=shown, completed=share if share >= 0 else None)

        yield told
