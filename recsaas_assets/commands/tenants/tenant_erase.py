"""`recsaas tenant erase` and `certificate`: erasing a whole tenant, and the proof of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import click
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.tenants import Tenant, get_tenant
from resources.jobs.kinds.tenant_erasures import newest_tenant_erasure
from resources.jobs.model import JobKind
from resources.jobs.store import get_job
from resources.tenancy.certificates import TenantCertificate
from resources.tenancy.erasing import (
    SETTLE,
    TenantEraser,
    certificate_of_tenant,
    request_tenant_erasure,
    tenant_erasure_runner,
)

_WAIT_SECONDS = 60.0


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--reason", help="What the shop is told until then.")
@click.option("--now", "at_once", is_flag=True, help="Without a time of grace, if it has been suspended for 7 days.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase(tenant_id: TenantId, reason: str | None, at_once: bool, yes: bool, as_json: bool) -> None:
    """Stop TENANT, and have everything of it erased after the time of grace; `resume` undoes that until then.

    A running platform erases it. Called again afterwards, or with --now, this command does.
    """
    site = Installation()
    get_tenant(site.db, tenant_id)
    if not yes:
        click.confirm(f"Erase tenant {tenant_id}, with all data of its shop?", abort=True, err=True)
    grace = timedelta(days=site.settings.erase_grace_days)
    asked = request_tenant_erasure(
        site.db, tenant_id, by=command_actor(), reason=reason, grace=grace, at_once=at_once, now=datetime.now(UTC)
    )
    assert asked.erase_after is not None
    if asked.erase_after - datetime.now(UTC) <= SETTLE:
        _tell(_erased(site, asked), as_json)
    elif as_json:
        print_json({"tenant": str(tenant_id), "status": asked.status, "erase_after": asked.erase_after.isoformat()})
    else:
        results.print(
            f"Tenant [bold]{tenant_id}[/] is suspended, and is erased after {asked.erase_after:%Y-%m-%d %H:%M} UTC. "
            f"Until then it can be undone: recsaas tenant resume {tenant_id}"
        )


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def certificate(tenant_id: TenantId, as_json: bool) -> None:
    """Show the certificate of an erased TENANT, and whether it is as it was written."""
    _tell(certificate_of_tenant(Installation().db, tenant_id), as_json)


def _erased(site: Installation, tenant: Tenant) -> TenantCertificate:
    """Erase the tenant in this process."""
    from recsaas_assets.instance.home import dagster_instance
    from recsaas_assets.runs.tenant_history import DagsterHistory

    erasure = newest_tenant_erasure(site.db, tenant.id)
    assert tenant.erase_after is not None
    time.sleep(max(0.0, (tenant.erase_after - datetime.now(UTC)).total_seconds() + 0.1))
    with dagster_instance(site.settings) as instance:
        eraser = TenantEraser(
            site.lake,
            site.db,
            site.decisions,
            lambda: datetime.now(UTC),
            site.settings.home,
            more=(DagsterHistory(instance),),
            wait_seconds=_WAIT_SECONDS,
            told=lambda place, found: notes.print(f"{place}: {found:,}"),
        )
        runner = tenant_erasure_runner(eraser)
        job = runner.queue.claim_job(get_job(site.db, tenant.id, JobKind.TENANT_ERASURE, erasure.id))
        if job is None:
            raise Conflict(f"The platform is erasing {tenant.id} already: recsaas tenant certificate {tenant.id}")
        try:
            runner.run(job)
        finally:
            runner.queue.put_back(job)  # nothing happens when it is done
    return certificate_of_tenant(site.db, tenant.id)


def _tell(found: TenantCertificate, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json") | {"holds": found.holds})
        return
    table = Table("where", "found", "left")
    for place in found.places:
        table.add_row(place.place, f"{place.found:,}", f"{place.left:,}")
    results.print(table)
    for title, lines in (("Kept:", found.kept), ("Out of reach:", found.out_of_reach)):
        results.print(title)
        for line in lines:
            results.print(f"  - {line}")
    results.print(f"{found.erasure_id}, completed at {found.completed_at:%Y-%m-%d %H:%M:%S} UTC.")
    results.print(f"SHA-256 {found.sha256}: {'as it was written' if found.holds else 'CHANGED since it was written'}.")
