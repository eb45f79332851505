"""Sensors: the mirror of tenants, runs for what is new, and the record of how runs ended."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    RunStatusSensorContext,
    RunStatusSensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_status_sensor,
    sensor,
)

from recsaas_assets.defs.common.jobs import TENANT_JOB, tenant_pipeline
from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.ingestion.landing import is_quiet, refuse_misplaced, waiting_by_tenant, with_left_behind
from recsaas_assets.runs.run_failures import fail_dead_runs, failure_of
from recsaas_assets.runs.run_requests import RunEnd, digest, from_cursor, plan_runs, to_cursor
from resources.base.code_version import code_version
from resources.base.tenant import TenantId
from resources.control_db.items import PendingItemChanges, pending_item_changes
from resources.control_db.tenants import list_tenants
from resources.control_db.uploads import UploadRecord, counting_uploads, pending_uploads
from resources.dagster_resources import PARTITION_TAG, PlatformResource
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import tenants_to_retrain
from resources.landing.folders import linked_folders, list_landing
from resources.landing.names import shown
from resources.training.runs import newest_failed_under_other_code, newest_stopped, next_run_at, note_end
from resources.uploads.contract.columns import Kind

_RUN_KEY_TAG = "dagster/run_key"
_MOST_LINKS_NAMED = 20
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
    """A tenant that is being erased loses its partition by that, and does not get it again."""
    known = set(context.instance.get_dynamic_partitions(str(tenants_partitions.name)))
    tenants = [str(tenant.id) for tenant in list_tenants(platform.db) if tenant.status != "retired"]
    missing = [tenant for tenant in tenants if tenant not in known]
    if not missing:
        return SkipReason("Every tenant has its partition.")
    return SensorResult(dynamic_partitions_requests=[tenants_partitions.build_add_request(missing)])


@sensor(
    name="new_uploads",
    job=tenant_pipeline,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts a tenant's run for what waits, and once more after an upgrade if the last one failed.",
)
def new_uploads(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
    """Runs for tenants with new data, looked up anew at every tick, so that a lost tick or cursor loses nothing."""
    instance = context.instance
    plan = plan_runs(
        _waiting(platform),
        from_cursor(context.cursor),
        busy=busy_tenants(instance),
        known={TenantId.parse(name) for name in instance.get_dynamic_partitions(str(tenants_partitions.name))},
        outcome_of=partial(_outcome, instance),
        held_until=partial(_held_until, platform),
    )
    requests = [RunRequest(run_key=request.key, partition_key=str(tenant)) for tenant, request in plan.requests.items()]
    reason = "; ".join(plan.notes) or "No uploads are waiting."
    return SensorResult(run_requests=requests, skip_reason=None if requests else reason, cursor=to_cursor(plan.cursor))


@sensor(
    name="misplaced_files",
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.RUNNING,
    description="Refuses dropped files that lie where no run looks, and says which folders are links.",
)
def misplaced_files(context: SensorEvaluationContext, platform: PlatformResource) -> SkipReason:
    """Their senders would wait for ever: a run takes files that lie straight in the folder of a kind."""
    lake, settle = platform.lake, platform.settings.upload_settle_seconds
    tenants = [tenant.id for tenant in list_tenants(platform.db)]
    refused = refuse_misplaced(lake, tenants, list_landing(platform.lake), now=datetime.now(UTC), settle_seconds=settle)
    notes = [f"{path} was refused." for path in refused]
    links = [shown(path) for path in linked_folders(lake)[:_MOST_LINKS_NAMED]]
    notes += [f"landing/{path} is a link, and nothing behind it is taken: mount the folder there." for path in links]
    return SkipReason(" ".join(notes) or "Every dropped file lies where it belongs.")


@dataclass(frozen=True)
class Reason:
    """One thing for the next run of a tenant; `what` is another text when it is another thing.

    `since` is when it came or changed. With `needs_interactions`, it is nothing to train on by itself.
    """

    what: str
    since: datetime
    needs_interactions: bool


def _reasons(platform: PlatformResource) -> dict[str, list[Reason]]:
    """Everything that a run would take in, by tenant. The place for one more reason to run."""
    reasons: dict[str, list[Reason]] = defaultdict(list)
    for upload in pending_uploads(platform.db):
        reasons[str(upload.tenant)].append(_of_upload(upload))
    dropped, lake = waiting_by_tenant(list_landing(platform.lake)), platform.lake
    for tenant in list_tenants(platform.db):
        for file in with_left_behind(lake, tenant.id, dropped.get(str(tenant.id), ())):
            what = f"dropped {file.kind.value}/{file.path} {file.mark} moved={file.moved} deaths={file.deaths}"
            reasons[str(tenant.id)].append(Reason(what, file.changed_at, file.kind != Kind.INTERACTIONS))
    for pending in pending_item_changes(platform.db):
        reason = _of_item_changes(pending, platform.settings.item_changes_wait_seconds, datetime.now(UTC))
        reasons[str(pending.tenant)] += [reason] if reason is not None else []
    for to_retrain, erasure in tenants_to_retrain(platform.db).items():
        since = erasure.completed_at or erasure.requested_at
        reasons[str(to_retrain)].append(Reason(f"train without the user of {erasure.id}", since, True))
    for run in newest_stopped(platform.db):
        what = f"run {run.run_id} was stopped with its tenant"
        reasons[str(run.tenant)].append(Reason(what, run.ended_at or run.started_at, True))
    for run in newest_failed_under_other_code(platform.db):
        # Its uploads may be taken in already, so nothing else waits. What does wait is tried again by itself, as the
        # version is part of every request, and is still there if the run fails: one more reason would make it two runs.
        if not reasons.get(str(run.tenant)):
            what = f"run {run.run_id} failed with another version"
            reasons[str(run.tenant)].append(Reason(what, run.ended_at or run.started_at, True))
    return reasons


def _of_upload(upload: UploadRecord) -> Reason:
    """Rows to take in, or to leave out again: without them there may be nothing left to train on."""
    name = f"upload {upload.upload_id} {upload.sequence}"
    if upload.left_out_at is not None:
        return Reason(f"without {name}", upload.left_out_at, True)
    return Reason(name, upload.created_at, upload.kind != Kind.INTERACTIONS)


def _of_item_changes(pending: PendingItemChanges, wait_seconds: float, now: datetime) -> Reason | None:
    """A reason once the oldest change has waited: answers show changes at once, so one run may serve many.

    A shop that changes items all the time never holds back a run for its uploads. After a run that failed, the next
    one comes no sooner than the wait allows.
    """
    if (now - pending.first_at).total_seconds() < wait_seconds:
        return None
    turn = int(pending.last_at.timestamp() // max(wait_seconds, 1.0))
    return Reason(f"item changes from {pending.first_seq} on, {turn}", pending.first_at, True)


def _waiting(platform: PlatformResource) -> dict[TenantId, str]:
    """Active tenants for which a run makes sense, each with a digest of the version of the code and the reasons.

    A tenant's uploads wait until the newest has been there for a moment, so that items and interactions sent one
    after the other make one run, and until there are interactions, because nothing can be trained before. What failed
    with one version of the code is tried once more with the next.
    """
    reasons = _reasons(platform)
    now, settle = datetime.now(UTC), platform.settings.upload_settle_seconds
    waiting: dict[TenantId, str] = {}
    for tenant in list_tenants(platform.db):
        found = reasons.get(str(tenant.id), [])
        if tenant.status != "active" or not found:
            continue
        if not all(is_quiet(reason.since, now=now, settle_seconds=settle) for reason in found):
            continue
        # Asked last: this asks the control DB.
        if all(reason.needs_interactions for reason in found) and not _has_interactions(platform, tenant.id):
            continue
        waiting[tenant.id] = digest([f"code {code_version()}", *(reason.what for reason in found)])
    return waiting


def _held_until(platform: PlatformResource, tenant: TenantId) -> datetime | None:
    until = next_run_at(platform.db, tenant)
    return until if until is not None and until > datetime.now(UTC) else None


def _has_interactions(platform: PlatformResource, tenant: TenantId) -> bool:
    uploads = counting_uploads(platform.db, tenant, kind=Kind.INTERACTIONS)
    return any(upload.rows_accepted for upload in uploads) or EventLog(platform.db).last_seq(tenant) > 0


def busy_tenants(instance: DagsterInstance) -> set[TenantId]:
    """Tenants with a run that waits or works."""
    runs = instance.get_runs(RunsFilter(job_name=TENANT_JOB, statuses=_UNFINISHED))
    return {TenantId.parse(run.tags[PARTITION_TAG]) for run in runs if PARTITION_TAG in run.tags}


def _outcome(instance: DagsterInstance, run_key: str) -> RunEnd:
    runs = instance.get_runs(RunsFilter(tags={_RUN_KEY_TAG: run_key}), limit=1)
    if not runs:
        return "unknown"
    return "succeeded" if runs[0].status is DagsterRunStatus.SUCCESS else "failed"


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


def _recorder(name: str, run_status: DagsterRunStatus, *, status: str, description: str) -> RunStatusSensorDefinition:
    """A sensor that notes in the control DB how runs have ended, `status` in its words.

    It also sees runs whose process died, which cannot record anything themselves. A run that has recorded its end
    itself, as `recsaas run` does, keeps its own time.
    """

    @run_status_sensor(
        name=name,
        run_status=run_status,
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=2,
        description=description,
    )
    def record(context: RunStatusSensorContext, platform: PlatformResource) -> None:
        run = context.dagster_run
        partition = run.tags.get(PARTITION_TAG)
        if partition is None:
            return
        tenant, message = TenantId.parse(partition), _message(context, run_status)
        note_end(platform.db, tenant, run.run_id, status=status, message=message, now=datetime.now(UTC))

    return record


def _message(context: RunStatusSensorContext, run_status: DagsterRunStatus) -> str | None:
    if run_status is DagsterRunStatus.FAILURE:
        return failure_of(context.instance, context.dagster_run.run_id)[1]
    return "The run was cancelled." if run_status is DagsterRunStatus.CANCELED else None


record_failed_runs = _recorder(
    "record_failed_runs",
    DagsterRunStatus.FAILURE,
    status="failed",
    description="Records why a tenant's run failed, where the service and the CLI can read it.",
)
record_finished_runs = _recorder(
    "record_finished_runs",
    DagsterRunStatus.SUCCESS,
    status="completed",
    description="Records that a tenant's run has ended well.",
)
record_cancelled_runs = _recorder(
    "record_cancelled_runs",
    DagsterRunStatus.CANCELED,
    status="cancelled",
    description="Records that a person has ended a tenant's run.",
)
