"""`recsaas jobs`: work that was acknowledged and is done later, whatever its kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.base.errors import NotFound
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.jobs.model import UNFINISHED, Job, JobKind, JobStatus
from resources.jobs.registry import POLICIES
from resources.jobs.store import cancel_job, find_job, list_jobs, retry_job
from resources.stores.tenant_store import TenantStore
from resources.uploads.jobs import cancel_upload

_TIMES = ("created_at", "updated_at", "started_at", "ended_at")
_FIGURES = ("priority", "progress", "attempts", "rests", "cancel_requested", "run_id")


@click.group()
def jobs() -> None:
    """List, show, cancel and retry jobs: checks of uploads, exports, erasures, training requests."""


@jobs.command(name="list")
@click.option("--tenant", "tenant_id", type=TENANT, help="Only those of this tenant.")
@click.option("--kind", type=click.Choice([kind.value for kind in JobKind]), help="Only those of this kind.")
@click.option(
    "--status", type=click.Choice([status.value for status in JobStatus]), help="Only those that stand there."
)
@click.option("--all", "every", is_flag=True, help="Those that have ended, too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@json_option
def list_(
    tenant_id: TenantId | None, kind: JobKind | None, status: JobStatus | None, every: bool, limit: int, as_json: bool
) -> None:
    """List jobs, newest first: without --all or --status those that are not finished."""
    site = Installation()
    if tenant_id is not None:
        get_tenant(site.db, tenant_id)
    statuses = (JobStatus(status),) if status else tuple(JobStatus) if every else UNFINISHED
    kinds = (JobKind(kind),) if kind else tuple(JobKind)
    found = list_jobs(site.db, tenant_id, kinds, statuses=statuses, limit=limit)
    if as_json:
        print_json({"jobs": [_fields(job) for job in found]})
        return
    table = Table("tenant", "job", "kind", "status", "progress", "attempts", "created", "error")
    for job in found:
        error = "" if job.error is None else f"{job.error.code}: {job.error.message}"
        row = (str(job.tenant), job.id, job.kind, job.status, f"{job.progress:.0%}", str(job.attempts))
        table.add_row(*row, f"{job.created_at:%Y-%m-%d %H:%M}", escape(error))
    results.print(table)


@jobs.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("job_id", metavar="JOB")
@json_option
def show(tenant_id: TenantId, job_id: str, as_json: bool) -> None:
    """Show JOB of TENANT: what was asked for, where it stands, why it failed."""
    job = _job(Installation(), tenant_id, job_id)
    fields = {**_fields(job), "input": dict(job.input)}
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        results.print(f"{name}: {escape(str(value))}")


@jobs.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("job_id", metavar="JOB")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def cancel(tenant_id: TenantId, job_id: str, yes: bool, as_json: bool) -> None:
    """Cancel JOB of TENANT: a queued one ends at once, a running one as soon as its process notices."""
    site = Installation()
    job = _job(site, tenant_id, job_id)
    if not yes:
        click.confirm(f"Cancel {job.kind} {job.id} of tenant {tenant_id}?", abort=True, err=True)
    now, by = datetime.now(UTC), command_actor()
    if job.kind is JobKind.UPLOAD:
        _told(cancel_upload(TenantStore(site.lake, site.db, tenant_id), job.id, now=now, by=by), as_json)
    else:
        _told(cancel_job(site.db, tenant_id, job.kind, job.id, now=now, by=by), as_json)


@jobs.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("job_id", metavar="JOB")
@json_option
def retry(tenant_id: TenantId, job_id: str, as_json: bool) -> None:
    """Queue JOB of TENANT again, which has failed or was cancelled."""
    site = Installation()
    job = _job(site, tenant_id, job_id)
    now, by = datetime.now(UTC), command_actor()
    _told(retry_job(site.db, tenant_id, job.kind, job.id, now=now, by=by), as_json)


def _job(site: Installation, tenant: TenantId, job_id: str) -> Job:
    get_tenant(site.db, tenant)
    job = find_job(site.db, tenant, job_id)
    if job is None:
        raise NotFound(f"Tenant {tenant} has no job {job_id[:80]!r}; `recsaas jobs list --all` shows those there are.")
    return job


def _told(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(_fields(job))
    elif job.cancel_requested and not job.finished:
        notes.print(f"{job.id} was asked to stop.")
    else:
        notes.print(f"{job.id} is {job.status}.")


def _fields(job: Job) -> dict[str, Any]:
    """What an operator sees; what came of a job is shown by the commands and routes of its kind."""
    times = {name: getattr(job, name).isoformat() if getattr(job, name) else None for name in _TIMES}
    return {
        "tenant": str(job.tenant),
        "job_id": job.id,
        "kind": job.kind,
        "done_by": POLICIES[job.kind].program,
        "status": job.status,
        **{name: getattr(job, name) for name in _FIGURES},
        "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
        **times,
    }
