"""`recsaas releases`: see, promote and roll back releases."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.release.pointer import Pointer, PointerMove
from resources.release.store import ReleaseStore, ReleaseSummary
from resources.stores.release_moves import promote as promote_release
from resources.stores.release_moves import rollback as rollback_release
from resources.stores.tenant_store import TenantStore


@click.group()
def releases() -> None:
    """List, show, promote and roll back a tenant's releases."""


@releases.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List the tenant's releases, newest first, with what the gate said and who made them live."""
    store = _store(tenant_id)
    summaries, moves = store.list(), _newest_moves(store)
    if as_json:
        fields = [
            {
                "version": s.version,
                "live": s.is_current,
                "created_at": s.manifest.created_at if s.manifest else None,
                "algorithm": s.manifest.algorithm if s.manifest else None,
                "ndcg@10": s.manifest.metrics.overall.get("ndcg@10") if s.manifest else None,
                "gate": s.manifest.gate.outcome if s.manifest else None,
                "newest_move": moves[s.version].model_dump(mode="json") if s.version in moves else None,
                "problem": s.problem,
            }
            for s in summaries
        ]
        print_json({"tenant": str(tenant_id), "releases": fields})
        return
    if not summaries:
        results.print(f"Tenant {tenant_id} has no release yet. Make one: recsaas run {tenant_id}")
        return
    table = Table("version", "live", "made", "algorithm", "NDCG@10", "gate", "problem")
    for s in summaries:
        ndcg = s.manifest.metrics.overall.get("ndcg@10") if s.manifest else None
        table.add_row(
            s.version,
            "●" if s.is_current else "",
            f"{s.manifest.created_at:%Y-%m-%d %H:%M:%S}" if s.manifest else "",
            s.manifest.algorithm if s.manifest else "",
            "" if ndcg is None else f"{ndcg:.4f}",
            _gate(s, moves.get(s.version)),
            s.problem or "",
        )
    results.print(table)


@releases.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("version", required=False)
@json_option
def show(tenant_id: TenantId, version: str | None, as_json: bool) -> None:
    """Show the manifest of a release; the live one when VERSION is left out."""
    store = _store(tenant_id)
    manifest = store.manifest(version or store.live_version())
    pointer = store.pointer()
    moves = [move for move in (pointer.history if pointer else ()) if manifest.version in (move.version, move.replaced)]
    if as_json:
        print_json({**manifest.model_dump(mode="json"), "moves": [move.model_dump(mode="json") for move in moves]})
        return
    results.print(
        f"[bold]{manifest.version}[/] of tenant {manifest.tenant}, made {manifest.created_at:%Y-%m-%d %H:%M:%S}"
    )
    results.print(f"  serves {manifest.algorithm}; gate {manifest.gate.outcome}:")
    for reason in manifest.gate.reasons:
        results.print(f"    {reason}")
    for move in moves:
        results.print(f"  {_told(move, manifest.version)}", markup=False)
    counts = manifest.counts
    results.print(f"  {counts.users:,} users, {counts.items:,} items, {counts.interactions:,} interactions")
    results.print(f"  training set {manifest.training_set_fingerprint[:16]}, dbt {manifest.dbt_invocation_id}")
    results.print(f"  Dagster run {manifest.dagster_run_id}")
    for upload in manifest.uploads:
        results.print(f"  from {upload.id}: {upload.rows:,} rows, sha256 {upload.sha256[:16]}")


@releases.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("version")
@click.option("--reason", default="", help="Why; required to force a release that the gate refused.")
@json_option
def promote(tenant_id: TenantId, version: str, reason: str, as_json: bool) -> None:
    """Make VERSION the live release."""
    pointer = promote_release(
        _tenant_store(tenant_id), version, now=datetime.now(UTC), by=command_actor(), reason=reason
    )
    _say(tenant_id, pointer, as_json)


@releases.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rollback(tenant_id: TenantId, reason: str, yes: bool, as_json: bool) -> None:
    """Make the release live again that was live before this one."""
    store = _tenant_store(tenant_id)
    if not yes:
        live = ReleaseStore(store.folder).current()
        click.confirm(f"Roll tenant {tenant_id} back from release {live}?", abort=True, err=True)
    pointer = rollback_release(store, now=datetime.now(UTC), by=command_actor(), reason=reason)
    _say(tenant_id, pointer, as_json)


def _tenant_store(tenant: TenantId) -> TenantStore:
    site = Installation()
    get_tenant(site.db, tenant)
    return site.store(tenant)


def _store(tenant: TenantId) -> ReleaseStore:
    return ReleaseStore(_tenant_store(tenant).folder)


def _newest_moves(store: ReleaseStore) -> dict[str, PointerMove]:
    """The newest promotion or rollback to each version."""
    pointer = store.pointer()
    return {move.version: move for move in pointer.history} if pointer else {}


def _gate(summary: ReleaseSummary, move: PointerMove | None) -> str:
    if summary.manifest is None:
        return ""
    return f"{summary.manifest.gate.outcome}{', forced' if move is not None and move.forced else ''}"


def _told(move: PointerMove, version: str) -> str:
    when = f"{move.at:%Y-%m-%d %H:%M:%S} by {move.actor}"
    why = f": {move.reason}" if move.reason else ""
    if move.version != version:
        return f"replaced by {move.version} {when}{why}"
    done = "made live against the gate" if move.forced else "made live"
    return f"{done if move.action == 'promote' else 'made live again by a rollback'} {when}{why}"


def _say(tenant: TenantId, pointer: Pointer, as_json: bool) -> None:
    move = pointer.history[-1]
    if as_json:
        print_json({"tenant": str(tenant), "live": pointer.version, "forced": move.forced})
    else:
        forced = f" The gate had refused it; the history keeps who and why: {move.reason}" if move.forced else ""
        results.print(f"Release {pointer.version} of tenant {tenant} is live.{forced}", markup=False)
