"""What is done for a tenant between its runs: events go to the lake, erasures that had to wait are done."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import (
    AssetKey,
    AssetMaterialization,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from recsaas_assets.defs.common.metadata import exported
from resources.base.errors import Conflict, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.event_exports import list_event_exports, tenants_with_new_events
from resources.dagster_resources import PlatformResource
from resources.erasure.jobs import UserEraser, erasure_runner
from resources.events.export import export_events
from resources.jobs.model import Job
from resources.stores.locks import run_lock
from resources.stores.tenant_store import TenantStore

# A tick is cut off after a minute, and a small machine has other things to do.
_SECONDS_PER_TICK = 20.0
EXPORTS_PER_TICK = 50


@sensor(
    name="event_export",
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Exports tracked events to the lake between runs, and records that as materialisations.",
)
def event_export(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
    """One page of each tenant in turn, from where the last tick stopped, for as long as a tick may last.

    A tenant whose run is going on is left alone: the run exports by itself.
    """
    ends = time.monotonic() + _SECONDS_PER_TICK
    waiting = _from_next(tenants_with_new_events(platform.db), context.cursor)
    done: list[TenantId] = []
    notes: list[str] = []
    cursor = context.cursor
    for tenant in waiting:
        if time.monotonic() >= ends or len(done) >= EXPORTS_PER_TICK:
            break
        cursor = str(tenant)
        try:
            with run_lock(platform.db, platform.settings.home, tenant, wait_seconds=0):
                if export_events(TenantStore(platform.lake, platform.db, tenant), now=datetime.now(UTC)):
                    done.append(tenant)
        except Conflict:
            notes.append(f"{tenant}: a run is going on, and exports by itself.")
        except RecsaasError as error:
            context.log.error(f"Events of tenant {tenant} were not exported: {error.message}")
            notes.append(f"{tenant}: {error.message}")
        except Exception as error:  # the edge: a tick that raised would begin with this tenant again, for ever
            context.log.exception(f"Events of tenant {tenant} were not exported.")
            notes.append(f"{tenant}: {type(error).__name__}")
    if not done:
        context.update_cursor(cursor or "")
        return SkipReason(" ".join(notes) or "No new events.")
    return SensorResult(asset_events=[_materialisation(platform, tenant) for tenant in done], cursor=cursor)


@sensor(
    name="pending_erasures",
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.RUNNING,
    description="Erases users whose erasure had to wait for a run of their tenant.",
)
def pending_erasures(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
    """Each once, as the queue of jobs has them: one that cannot be done goes behind the others."""
    ends = time.monotonic() + _SECONDS_PER_TICK
    eraser = UserEraser(platform.lake, platform.db, platform.decisions, _now, platform.settings.home)
    runner = erasure_runner(eraser)
    notes: list[str] = []
    tried: set[str] = set()
    while time.monotonic() < ends and (job := runner.claim(skip=tried)) is not None:
        tried.add(job.id)
        try:
            outcome = runner.run(job)
        except Exception as error:  # the edge, as above
            runner.give_up(job, error)
            notes.append(f"{job.id}: {_told(context, job, error)}")
        else:
            notes.append(f"{job.id} {'was interrupted' if outcome is None else 'is done'}.")
    return SkipReason(" ".join(notes) or "No erasure waits.")


def _told(context: SensorEvaluationContext, job: Job, error: Exception) -> str:
    """The reason why an erasure waits; logged, unless a run of the tenant is going on. Others may name the user."""
    reason = error.message if isinstance(error, RecsaasError) else type(error).__name__
    if not isinstance(error, Conflict):
        context.log.error(f"{job.id} of tenant {job.tenant} cannot be done: {reason}")
    return reason


def _now() -> datetime:
    return datetime.now(UTC)


def _from_next(tenants: Sequence[TenantId], last: str | None) -> tuple[TenantId, ...]:
    """The tenants in turn, beginning after the one that was served last."""
    after = [tenant for tenant in tenants if last is not None and str(tenant) > last]
    return (*after, *(tenant for tenant in tenants if tenant not in after))


def _materialisation(platform: PlatformResource, tenant: TenantId) -> AssetMaterialization:
    ledger = list_event_exports(platform.db, tenant)
    folder = platform.lake.tenant(tenant).events
    return AssetMaterialization(
        asset_key=AssetKey("tracked_events"), partition=str(tenant), metadata=exported(ledger, folder)
    )
