"""What starts by itself: the tenant mirror, runs for new uploads, and the record of failed runs."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    RunStatusSensorContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_status_sensor,
    sensor,
)
from upath import UPath

from recsaas_assets.defs.jobs import TENANT_JOB, tenant_pipeline
from recsaas_assets.defs.partitions import tenants_partitions
from recsaas_assets.ingestion import waiting_files
from recsaas_assets.run_failures import fail_dead_runs, failure_of
from resources.control_db.runs import note_end
from resources.control_db.tenants import list_tenants
from resources.control_db.uploads import UploadRecord, list_uploads, pending_uploads
from resources.dagster_resources import PlatformResource
from resources.event_log import EventLog
from resources.tenant import TenantId
from resources.uploads.contract import Kind

_PARTITION_TAG = "dagster/partition"
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@sensor(
    name="tenant_mirror",
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Mirrors the tenants of the control DB to the dynamic partitions.",
)
def tenant_mirror(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
    """Retired tenants keep their partition until they are erased."""
    known = set(context.instance.get_dynamic_partitions(str(tenants_partitions.name)))
    missing = [str(tenant.id) for tenant in list_tenants(platform.db) if str(tenant.id) not in known]
    if not missing:
        return SkipReason("Every tenant has its partition.")
    return SensorResult(dynamic_partitions_requests=[tenants_partitions.build_add_request(missing)])


@sensor(
    name="new_uploads",
    job=tenant_pipeline,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts a tenant's run when uploads or dropped files wait that no run has taken in.",
)
def new_uploads(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
    """The control DB says what is waiting, so a lost tick or cursor loses nothing."""
    waiting = _waiting(platform)
    partitions = set(context.instance.get_dynamic_partitions(str(tenants_partitions.name)))
    requests, notes = [], []
    for tenant, signature in sorted(waiting.items()):
        if str(tenant) not in partitions:
            notes.append(f"{tenant}: its partition is not there yet.")
        elif context.instance.get_runs_count(
            RunsFilter(job_name=TENANT_JOB, statuses=_UNFINISHED, tags={_PARTITION_TAG: str(tenant)})
        ):
            notes.append(f"{tenant}: a run is going on; what it leaves starts the next one when it has ended.")
        else:
            requests.append(RunRequest(run_key=f"{tenant}:{signature}", partition_key=str(tenant)))
    if not requests:
        return SkipReason("; ".join(notes) or "No uploads are waiting.")
    return SensorResult(run_requests=requests)


def _waiting(platform: PlatformResource) -> dict[TenantId, str]:
    """Tenants with something to take in, each with a signature of what that is.

    A tenant's uploads wait until the newest has been there for a moment, so that items and interactions sent one
    after the other make one run, and until there are interactions, because nothing can be trained before.
    """
    settled = datetime.now(UTC) - timedelta(seconds=platform.settings.upload_settle_seconds)
    uploads: dict[TenantId, list[UploadRecord]] = defaultdict(list)
    for upload in pending_uploads(platform.db):
        uploads[upload.tenant].append(upload)
    waiting: dict[TenantId, str] = {}
    for tenant in list_tenants(platform.db):
        if tenant.status != "active":
            continue
        landed = [f for kind in Kind for f in waiting_files(platform.lake.landing(tenant.id, kind.value))]
        stored = uploads.get(tenant.id, [])
        newest_landed = max((f.stat().st_mtime for f in landed), default=0.0)
        newest = max([u.created_at for u in stored] + [datetime.fromtimestamp(newest_landed, UTC)])
        # Asked last: most tenants have nothing waiting, and this asks the control DB.
        if (landed or stored) and newest <= settled and _has_interactions(platform, tenant.id, landed):
            last = max((u.sequence for u in stored), default=0)
            waiting[tenant.id] = f"{last}:{len(landed)}:{int(newest_landed * 1000)}"
    return waiting


def _has_interactions(platform: PlatformResource, tenant: TenantId, landed: list[UPath]) -> bool:
    return (
        any(file.parent.name == Kind.INTERACTIONS for file in landed)
        or any(u.rows_accepted for u in list_uploads(platform.db, tenant, kind=Kind.INTERACTIONS))
        or EventLog(platform.db).last_seq(tenant) > 0
    )


@sensor(
    name="dead_runs",
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed: they would keep their place in the queue for ever.",
)
def dead_runs(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
    """Dagster's own monitoring knows only runs that the code server started, while that code server lives."""
    dead = fail_dead_runs(context.instance, platform.settings.home, platform.db, now=datetime.now(UTC))
    return SkipReason(f"Ended {', '.join(dead)}." if dead else "Every run has its process.")


@run_status_sensor(
    name="record_failed_runs",
    run_status=DagsterRunStatus.FAILURE,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=2,
    description="Records why a tenant's run failed, where the service and the CLI can read it.",
)
def record_failed_runs(context: RunStatusSensorContext, platform: PlatformResource) -> None:
    """Also sees runs whose process died, which cannot record anything themselves."""
    _, message = failure_of(context.instance, context.dagster_run.run_id)
    _record_end(context, platform, status="failed", message=message)


@run_status_sensor(
    name="record_finished_runs",
    run_status=DagsterRunStatus.SUCCESS,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=2,
    description="Records that a tenant's run has ended well.",
)
def record_finished_runs(context: RunStatusSensorContext, platform: PlatformResource) -> None:
    """See `record_failed_runs`."""
    _record_end(context, platform, status="completed", message=None)


@run_status_sensor(
    name="record_cancelled_runs",
    run_status=DagsterRunStatus.CANCELED,
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=2,
    description="Records that a person has ended a tenant's run.",
)
def record_cancelled_runs(context: RunStatusSensorContext, platform: PlatformResource) -> None:
    """See `record_failed_runs`."""
    _record_end(context, platform, status="cancelled", message="The run was cancelled.")


def _record_end(
    context: RunStatusSensorContext, platform: PlatformResource, *, status: str, message: str | None
) -> None:
    """A run that has recorded its end itself, as `recsaas run` does, keeps its own time."""
    run = context.dagster_run
    partition = run.tags.get(_PARTITION_TAG)
    if partition is None:
        return
    note_end(platform.db, TenantId.parse(partition), run.run_id, status=status, message=message, now=datetime.now(UTC))
