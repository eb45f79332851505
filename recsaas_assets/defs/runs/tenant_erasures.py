"""Tenants whose time of grace is over are erased, a step of each tick."""

import time
from datetime import UTC, datetime

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from recsaas_assets.runs.tenant_history import DagsterHistory
from resources.base.errors import RecsaasError
from resources.dagster_resources import PlatformResource
from resources.tenancy.erasing import TenantEraser, tenant_erasure_runner

_SECONDS_PER_TICK = 20.0


@sensor(
    name="tenant_erasures",
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.RUNNING,
    description="Erases tenants whose time of grace is over.",
)
def tenant_erasures(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
    """Each once, as the queue of jobs has them. A tick that is cut off is gone on with by a later one."""
    ends = time.monotonic() + _SECONDS_PER_TICK
    eraser = TenantEraser(
        platform.lake,
        platform.db,
        platform.decisions,
        lambda: datetime.now(UTC),
        platform.settings.home,
        more=(DagsterHistory(context.instance),),
    )
    runner = tenant_erasure_runner(eraser)
    notes: list[str] = []
    tried: set[str] = set()
    while time.monotonic() < ends and (job := runner.claim(skip=tried)) is not None:
        tried.add(job.id)
        try:
            outcome = runner.run(job)
        except Exception as error:  # the edge: a tick that raised would begin with this tenant again, for ever
            runner.give_up(job, error)
            reason = error.message if isinstance(error, RecsaasError) else type(error).__name__
            context.log.warning(f"{job.id} of tenant {job.tenant} waits: {reason}")
            notes.append(f"{job.id}: {reason}")
        else:
            notes.append(f"{job.id} {'was interrupted' if outcome is None else f'is {outcome.status}'}.")
    return SkipReason(" ".join(notes) or "No tenant is to be erased.")
