"""`recsaas tenant mapping`: how a tenant's files are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from recsaas_assets.commands.mapping_options import given_mapping, mapping_options
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.headers.mapping import GivenMapping, mapping_of
from resources.uploads.mappings import ProposedMapping, clear_mapping, propose_mapping, set_mapping, show_mapping

_KIND = click.Choice([kind.value for kind in Kind])


@click.group()
def mapping() -> None:
    """Show, set, propose and clear how a tenant's files are read."""


@mapping.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=_KIND)
@json_option
def show(tenant_id: TenantId, kind: str, as_json: bool) -> None:
    """Show how files of KIND of TENANT are read."""
    _tell(tenant_id, Kind(kind), show_mapping(Installation().db, tenant_id, Kind(kind)), as_json)


@mapping.command("set")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=_KIND)
@mapping_options
@json_option
def set_(tenant_id: TenantId, kind: str, as_json: bool, **options: Any) -> None:
    """Set how files of KIND of TENANT are read, all of it. What is left out is found from each file.

    recsaas tenant mapping set my-shop interactions --map StockCode=item_id --map Country=ignore
    """
    db, wanted = Installation().db, Kind(kind)
    given = given_mapping(**options)
    if given is None:
        raise click.UsageError("Say what to set, such as --map HEADER=COLUMN; `clear` forgets all of it.")
    checked = mapping_of(wanted, given)
    now, by = datetime.now(UTC), command_actor()
    _tell(tenant_id, wanted, set_mapping(db, tenant_id, wanted, checked, now=now, by=by), as_json)


@mapping.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=_KIND)
@json_option
def clear(tenant_id: TenantId, kind: str, as_json: bool) -> None:
    """Forget how files of KIND of TENANT are read. Names of interactions stay."""
    now, by = datetime.now(UTC), command_actor()
    _tell(tenant_id, Kind(kind), clear_mapping(Installation().db, tenant_id, Kind(kind), now=now, by=by), as_json)


@mapping.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=_KIND)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def propose(tenant_id: TenantId, kind: str, file: Path, as_json: bool) -> None:
    """Say how FILE would be read, and what its other columns probably are. Stores nothing."""
    site = Installation()
    settings = get_tenant(site.db, tenant_id).settings
    policy = UploadPolicy(settings, site.settings.max_upload_bytes, UploadLimits.of(site.settings))
    found = propose_mapping(Kind(kind), file, file.name, policy)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _show_proposal(found, tenant_id)


def _tell(tenant_id: TenantId, kind: Kind, found: GivenMapping, as_json: bool) -> None:
    fields = found.model_dump(mode="json")
    if as_json:
        print_json({"tenant": str(tenant_id), "kind": kind.value, "mapping": fields})
        return
    table = Table("what", "value")
    for header, column in found.columns.items():
        table.add_row(escape(f"column {header}"), column or "ignore")
    for name, value in fields.items():
        if name not in ("columns", "interaction_types"):
            table.add_row(name, "found from each file" if value is None else json.dumps(value))
    for name, target in (found.interaction_types or {}).items():
        table.add_row(escape(f"type {name}"), target)
    results.print(table)


def _show_proposal(found: ProposedMapping, tenant_id: TenantId) -> None:
    if found.preset is not None:
        results.print(f"It looks like an export of {escape(found.preset)}.")
    table = Table("header", "column", "because")
    for header, column in found.mapping.columns.items():
        table.add_row(escape(header), column or "ignore", found.reasons.get(header, ""))
    for header in found.columns_ignored:
        table.add_row(escape(header), "", "kept and not used")
    results.print(table)
    if found.missing:
        results.print(f"Nothing was found for {', '.join(found.missing)}.")
    maps = " ".join(f"--map '{header}={column}'" for header, column in found.mapping.columns.items())
    results.print(f"To set it: recsaas tenant mapping set {tenant_id} {found.kind} {escape(maps)}", soft_wrap=True)
