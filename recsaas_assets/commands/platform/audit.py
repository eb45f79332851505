"""`recsaas audit`: read, verify and export the audit log of a tenant, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from recsaas_assets.commands.console import (
    TENANT,
    Installation,
    command_actor,
    json_option,
    notes,
    print_json,
    results,
)
from resources.audit.entries import PLATFORM_CHAIN, Change, chain_of, record
from resources.audit.export import AuditFormat, export_pieces
from resources.audit.keeping.daily import heads_folder
from resources.audit.keeping.heads import read_all_heads
from resources.audit.reading import (
    AuditEntry,
    AuditFilter,
    chains_of,
    newest_number,
    note_reading,
    read_batch,
    read_page,
)
from resources.audit.verifying import Verification, verify_chain
from resources.base.errors import TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant

_tenant = click.argument("tenant_id", metavar="[TENANT]", type=TENANT, required=False)
_platform = click.option("--platform", is_flag=True, help="What belongs to no tenant.")


@click.group()
def audit() -> None:
    """Read, verify and export the audit log: who changed what, when and for whom."""


@audit.command("list")
@_tenant
@_platform
@click.option("--actor", help="Id or name of who did it.")
@click.option("--action", help="An action such as rule.add, or rule for all of that noun.")
@click.option("--object", "object_id", help="Id of what was changed.")
@click.option("--text", help="A part of a name, an id or a reason.")
@click.option("--since", type=click.DateTime(), help="From this time on, UTC.")
@click.option("--until", type=click.DateTime(), help="Before this time, UTC.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@json_option
def list_(tenant_id: TenantId | None, platform: bool, limit: int, as_json: bool, **wanted: Any) -> None:
    """List entries, newest first: of TENANT, or of all. This is an entry itself, once an hour."""
    db = Installation().db
    if tenant_id is not None:
        get_tenant(db, tenant_id)
    times = {name: wanted.pop(name) for name in ("since", "until")}
    filter = AuditFilter(
        **wanted, **{name: time.replace(tzinfo=UTC) if time is not None else None for name, time in times.items()}
    )
    chains = [chain_of(tenant_id)] if tenant_id is not None or platform else None
    with db.write() as session:
        note_reading(session, command_actor(), tenant=tenant_id, now=datetime.now(UTC))
    found: list[AuditEntry] = []
    below: int | None = None
    with db.read() as session:
        while len(found) < limit:
            page = read_page(session, chains, filter, limit=limit - len(found), below=below)
            found += page.entries
            below = page.below
            if below is None:
                break
    if as_json:
        print_json({"entries": [asdict(entry) for entry in found]})
        return
    table = Table("when", "tenant", "who", "for", "action", "what", "why")
    for entry in found:
        who, what = f"{entry.actor_kind} {entry.actor_name}", f"{entry.object_kind} {entry.object_id}"
        cells = (entry.tenant or "", who, entry.acting_for or "", entry.action, what, entry.reason or "")
        table.add_row(f"{entry.at:%Y-%m-%d %H:%M:%S}", *map(escape, cells))
    results.print(table)


@audit.command()
@_tenant
@_platform
@json_option
def verify(tenant_id: TenantId | None, platform: bool, as_json: bool) -> None:
    """Verify the chain of TENANT, or all chains, against their heads. Exits with 1 where one is broken."""
    site = Installation()
    if tenant_id is not None:
        get_tenant(site.db, tenant_id)
    exported = read_all_heads(heads_folder(site.settings, site.lake))
    found = []
    with site.db.read() as session:
        chains: tuple[str, ...] = tuple(sorted({*chains_of(session), *exported}))
    if tenant_id is not None or platform:
        chains = (chain_of(tenant_id),)
    with Progress(console=notes, transient=True) as progress:
        for chain in chains:
            task = progress.add_task(escape(chain), total=None)

            def show(done: int, of: int, task: Any = task) -> None:
                progress.update(task, completed=done, total=of)

            with site.db.read() as session:
                found.append(verify_chain(session, chain, exported=exported.get(chain, {}), on_progress=show))
    _record(site, found)
    broken = [each for each in found if not each.unbroken]
    if as_json:
        print_json({"unbroken": not broken, "chains": [asdict(each) | {"unbroken": each.unbroken} for each in found]})
    else:
        _show(found)
    if broken:
        raise SystemExit(1)


@audit.command()
@_tenant
@_platform
@click.option("--format", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; standard output if none.")
@json_option
def export(tenant_id: TenantId | None, platform: bool, format: str, out: Path | None, as_json: bool) -> None:
    """Write the entries of TENANT, or of all chains one after another, oldest first, with their hashes."""
    if as_json and out is None:
        raise click.UsageError("Name a file with --out: the entries themselves are the output.")
    site, count = Installation(), 0
    if tenant_id is not None:
        get_tenant(site.db, tenant_id)
    with site.db.read() as session:
        chains = chains_of(session) if tenant_id is None and not platform else (chain_of(tenant_id),)
        newest = {chain: newest_number(session, chain) for chain in chains}
    change = Change(action="audit.export", object_kind="audit", object_id=chain_of(tenant_id), after={"format": format})
    with site.db.write() as session:
        record(session, command_actor(), change, tenant=tenant_id, now=datetime.now(UTC))

    def entries() -> Iterator[AuditEntry]:
        nonlocal count
        for chain in chains:
            after = 0
            while batch := _batch(site, chain, after, newest[chain]):
                after, count = batch[-1].number, count + len(batch)
                yield from batch

    with click.open_file("-" if out is None else str(out), "wb") as target:
        for piece in export_pieces(entries(), cast(AuditFormat, format)):
            target.write(piece)
    if as_json:
        print_json({"entries": count, "file": str(out)})
    elif out is not None:
        results.print(f"{count:,} entries are in {escape(str(out))}.")


def _batch(site: Installation, chain: str, after: int, newest: int) -> tuple[AuditEntry, ...]:
    with site.db.read() as session:
        return read_batch(session, chain, after=after, up_to=newest)


def _record(site: Installation, found: list[Verification]) -> None:
    by, now = command_actor(), datetime.now(UTC)
    for each in found:
        after = {"unbroken": each.unbroken, "first": each.first, "last": each.last}
        change = Change(action="audit.verify", object_kind="audit", object_id=each.chain, after=after)
        tenant = None if each.chain == PLATFORM_CHAIN else TenantId(each.chain)
        if tenant is not None and not _exists(site, tenant):  # a head was exported of it: it begins no new chain
            tenant = None
        with site.db.write() as session:
            record(session, by, change, tenant=tenant, now=now)


def _exists(site: Installation, tenant: TenantId) -> bool:
    with suppress(TenantNotFound):
        get_tenant(site.db, tenant)
        return True
    return False


def _show(found: list[Verification]) -> None:
    if not found:
        results.print("There is no audit log yet.")
    for each in found:
        name = "the platform" if each.chain == PLATFORM_CHAIN else f"tenant {each.chain}"
        heads = f", {each.heads:,} exported heads agree" if each.heads else ""
        if each.broken is None:
            results.print(f"{name}: {each.entries:,} entries, unbroken{heads}.")
            continue
        results.print(f"{name}: broken. {each.broken.message}", markup=False)
        results.print(f"  expected {each.broken.expected}, found {each.broken.found}", markup=False)
