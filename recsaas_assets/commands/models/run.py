"""`recsaas run` and `recsaas backfill`: materialise the graph for one tenant, or for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, json_option, notes, print_json, results
from recsaas_assets.instance.home import GROUPS, RunOutcome, run_tenant
from recsaas_assets.instance.parallel_runs import run_in_parallel
from resources.base.tenant import TenantId
from resources.control_db.tenants import active_tenant, list_tenants
from resources.processes.memory import peak_memory_bytes
from resources.release.store import ReleaseStore
from resources.training.runs import RunRecord, list_runs

_POLL_SECONDS = 0.2


_from_option = click.option(
    "--from",
    "start_from",
    type=click.Choice(GROUPS),
    default=GROUPS[0],
    show_default=True,
    help="First group of assets to run; what comes before it stays as it is.",
)


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@_from_option
@json_option
def run(tenant_id: TenantId, start_from: str, as_json: bool) -> None:
    """Materialise the whole graph for TENANT: uploads in, release out. Exits with 1 when the run fails."""
    site = Installation()
    active_tenant(site.db, tenant_id)
    outcome, seconds = run_with_progress(site, tenant_id, start_from=start_from)
    live = ReleaseStore(site.lake.tenant(tenant_id)).current()
    if as_json:
        told = {"live_release": live, "seconds_per_stage": seconds, "peak_memory_bytes": peak_memory_bytes()}
        print_json({**_fields(tenant_id, outcome), **told})
    elif outcome.success:
        results.print(f"Run {outcome.run_id} took {outcome.seconds:.1f} s. Live release: {live}.")
    else:
        notes.print(f"[bold red]The run failed[/] at {outcome.failed_step}: {outcome.message}", markup=True)
    if not outcome.success:
        raise SystemExit(1)


@click.command()
@click.argument("tenants", nargs=-1, type=TENANT, metavar="[TENANT]...")
@click.option("--all", "everyone", is_flag=True, help="Every active tenant.")
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Tenants at a time; with more than one, in processes of their own.",
)
@_from_option
@json_option
def backfill(tenants: tuple[TenantId, ...], everyone: bool, jobs: int, start_from: str, as_json: bool) -> None:
    """Run several tenants. One that fails does not stop the others; exits with 1 then."""
    site = Installation()
    if bool(tenants) == everyone:
        raise click.UsageError("Name the tenants, or say --all.")
    named = [t.id for t in list_tenants(site.db) if t.status == "active"] if everyone else list(tenants)
    chosen = list(dict.fromkeys(named))
    for tenant in chosen:
        active_tenant(site.db, tenant)
    outcomes = _one_by_one(site, chosen, start_from) if jobs == 1 else _side_by_side(site, chosen, jobs, start_from)
    if as_json:
        print_json({"runs": [_fields(tenant, outcome) for tenant, outcome in outcomes.items()]})
    else:
        table = Table("tenant", "result", "seconds", "why")
        for tenant, outcome in outcomes.items():
            verdict = "done" if outcome.success else "failed"
            table.add_row(str(tenant), verdict, f"{outcome.seconds:.1f}", outcome.message or "")
        results.print(table)
    if not all(outcome.success for outcome in outcomes.values()):
        raise SystemExit(1)


def run_with_progress(
    site: Installation, tenant: TenantId, *, start_from: str = GROUPS[0]
) -> tuple[RunOutcome, dict[str, float]]:
    """Run the tenant and say on stderr which stage it is in; return the outcome and the seconds of each stage."""
    seconds: dict[str, float] = {}
    notes.print(f"Running the pipeline of tenant {tenant} (loading it takes a few seconds) …")
    with _watch(site, tenant, seconds):
        outcome = run_tenant(site.settings, site.db, tenant, start_from=start_from)
    return outcome, seconds


def _one_by_one(site: Installation, tenants: Sequence[TenantId], start_from: str) -> dict[TenantId, RunOutcome]:
    outcomes = {}
    for number, tenant in enumerate(tenants, start=1):
        notes.print(f"[bold]{tenant}[/] ({number} of {len(tenants)})")
        outcomes[tenant] = run_with_progress(site, tenant, start_from=start_from)[0]
    return outcomes


def _side_by_side(
    site: Installation, tenants: Sequence[TenantId], jobs: int, start_from: str
) -> dict[TenantId, RunOutcome]:
    ended: list[TenantId] = []

    def say(tenant: TenantId, outcome: RunOutcome) -> None:
        ended.append(tenant)
        verdict = "done" if outcome.success else f"[bold red]failed[/]: {escape(outcome.message or '')}"
        notes.print(f"[bold]{tenant}[/] ({len(ended)} of {len(tenants)}) {outcome.seconds:.1f} s, {verdict}")

    return run_in_parallel(
        tenants,
        jobs=jobs,
        logs=site.settings.home / "logs",
        start_from=start_from,
        on_start=lambda tenant: notes.print(f"{tenant}: started"),
        on_end=say,
    )


@contextmanager
def _watch(site: Installation, tenant: TenantId, seconds: dict[str, float]) -> Iterator[None]:
    """Follow the run in the control DB, where it writes its stage and epoch, and keep a line of it on the screen."""
    before = {record.run_id for record in list_runs(site.db, tenant, limit=1)}
    done = threading.Event()
    stage, since = "loading", time.monotonic()

    def follow(say: Callable[[str], None]) -> None:
        nonlocal stage, since
        while not done.wait(_POLL_SECONDS):
            newest = next(iter(list_runs(site.db, tenant, limit=1)), None)
            if newest is None or newest.run_id in before:
                continue
            if newest.stage is not None and newest.stage != stage:
                _close(stage, since)
                stage, since = newest.stage, time.monotonic()
            say(_line(newest))

    def _close(ended: str, started: float) -> None:
        seconds[ended] = round(time.monotonic() - started, 2)
        notes.print(f"  {ended:<24} {seconds[ended]:7.1f} s")

    with notes.status("loading") as status:
        thread = threading.Thread(target=follow, args=(status.update,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            _close(stage, since)


def _line(record: RunRecord) -> str:
    if record.stage == "lightgcn_model" and record.epoch is not None:
        ndcg = record.metrics.get("ndcg@10")
        figure = "" if ndcg is None else f", validation NDCG@10 {ndcg:.4f}"
        return f"{record.stage}: epoch {record.epoch} of {record.total_epochs}{figure}"
    return record.stage or "starting"


def _fields(tenant: TenantId, outcome: RunOutcome) -> dict[str, object]:
    return {
        "tenant": str(tenant),
        "run_id": outcome.run_id,
        "success": outcome.success,
        "failed_step": outcome.failed_step,
        "message": outcome.message,
        "seconds": round(outcome.seconds, 2),
    }
