"""`recsaas landing`: what a tenant's dropped files are waiting for, and why others were refused."""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from recsaas_assets.ingestion.landing import WaitingFile, waiting_files
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.landing.folders import linked_folders
from resources.landing.names import shown
from resources.landing.refused import RefusedFile, forget_refused, list_refused
from resources.uploads.contract.columns import Kind

_SHOWN = 20


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--forget", "forgotten", metavar="ID", multiple=True, help="Remove a refused file; may be repeated.")
@json_option
def landing(tenant_id: TenantId, forgotten: tuple[str, ...], as_json: bool) -> None:
    """Show the files of TENANT that were dropped and wait for a run, and those that were refused, with the reason."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    refused = list_refused(site.lake, tenant_id)
    unknown = set(forgotten) - {each.id for each in refused}
    if unknown:
        raise click.BadParameter(f"no refused file has the id {', '.join(sorted(unknown))}.", param_hint="--forget")
    for refused_id in forgotten:
        forget_refused(site.lake.tenant(tenant_id), refused_id)
    refused = tuple(each for each in refused if each.id not in forgotten)
    waiting = [file for kind in Kind for file in waiting_files(site.lake, tenant_id, kind)]
    links = [shown(path) for path in linked_folders(site.lake) if path.split("/")[0] == tenant_id.value]
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                "waiting": [
                    {"file": _place(file), "size": file.size, "changed_at": file.changed_at.isoformat()}
                    for file in waiting
                ],
                "refused": [_fields(each) for each in refused],
                "links": links,
            }
        )
        return
    _show(waiting, refused, links)


def _show(waiting: list[WaitingFile], refused: tuple[RefusedFile, ...], links: list[str]) -> None:
    for path in links:
        results.print(f"landing/{escape(path)} is a link, and nothing behind it is taken: mount the folder there.")
    results.print(f"{len(waiting)} dropped files wait for a run, {len(refused)} were refused.")
    if waiting:
        table = Table("waiting", "bytes", "changed")
        for file in waiting[:_SHOWN]:
            table.add_row(escape(_place(file)), f"{file.size:,}", f"{file.changed_at:%Y-%m-%d %H:%M}")
        results.print(table)
    if refused:
        table = Table("refused", "file", "code", "reason")
        for each in refused[:_SHOWN]:
            table.add_row(each.id, escape(each.file), each.code, escape(each.message))
        results.print(table)


def _place(file: WaitingFile) -> str:
    return f"{file.kind.value}/{file.name}"


def _fields(each: RefusedFile) -> dict[str, str | int]:
    return {
        "id": each.id,
        "file": each.file,
        "code": each.code,
        "message": each.message,
        "size": each.size,
        "refused_at": each.refused_at.isoformat(),
    }
