"""Training jobs that were asked for by API become runs, and end when their runs have ended."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from recsaas_assets.defs.common.jobs import tenant_pipeline
from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.defs.release.serving import faiss_index, release
from recsaas_assets.defs.runs.sensors import busy_tenants
from recsaas_assets.runs.run_failures import failure_of, was_not_started_in_time
from recsaas_assets.runs.training_jobs import End, JobRun, Start, next_step
from resources.control_db.tenants import list_tenants
from resources.dagster_resources import TRAINING_JOB_TAG, PlatformResource
from resources.jobs.kinds.training import TrainingJob, end_training_job, list_unfinished_training
from resources.tenants.training_request import TrainingKind

REINDEXED = (faiss_index.key, release.key)
"""The index and what comes after it."""
# Dagster starts a run again whose process was killed. Whoever asked for this one is told that it failed, and asks anew.
_NO_RETRY = {"dagster/max_retries": "0"}


@sensor(
    name="training_jobs",
    job=tenant_pipeline,
    minimum_interval_seconds=2,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts the runs that were asked for by API, and ends the jobs whose runs have ended.",
)
def training_jobs(context: SensorEvaluationContext, platform: PlatformResource) -> SensorResult | SkipReason:
    """A job whose tenant is busy waits. Dagster starts one run for a key, so a tick that is lost costs nothing.

    A run that Dagster gave up because the machine was too busy to start it in time is replaced by another one.
    """
    jobs = list_unfinished_training(platform.db)
    if not jobs:
        return SkipReason("No training job waits.")
    instance = context.instance
    known = set(instance.get_dynamic_partitions(str(tenants_partitions.name)))
    active = {tenant.id for tenant in list_tenants(platform.db) if tenant.status == "active"}
    busy = busy_tenants(instance)
    requests, notes = [], []
    for job in jobs:
        runs = instance.get_runs(RunsFilter(tags={TRAINING_JOB_TAG: job.id}))
        step = next_step(
            job,
            _run_of(instance, job, runs),
            starts=len(runs),
            known=str(job.tenant) in known,
            active=job.tenant in active,
            busy=job.tenant in busy,
        )
        if isinstance(step, Start):
            requests.append(_request(job, starts=len(runs)))
        elif isinstance(step, End):
            end_training_job(platform.db, job, status=step.status, message=step.message, now=datetime.now(UTC))
            notes.append(f"{job.id}: {step.status}.")
        else:
            notes.append(step.why)
    return SensorResult(run_requests=requests, skip_reason=None if requests else " ".join(notes))


def _request(job: TrainingJob, *, starts: int) -> RunRequest:
    return RunRequest(
        run_key=f"{job.id}/{starts}" if starts else job.id,
        partition_key=str(job.tenant),
        tags={TRAINING_JOB_TAG: job.id, **_NO_RETRY},
        asset_selection=list(REINDEXED) if job.request.kind is TrainingKind.REINDEX else None,
    )


def _run_of(instance: DagsterInstance, job: TrainingJob, tagged: Sequence[DagsterRun]) -> JobRun | None:
    """The run that the job began with; before that, the newest one with its tag."""
    run = next((run for run in tagged if job.run_id in (None, run.run_id)), None)
    if run is None:
        return None
    if run.status is DagsterRunStatus.SUCCESS:
        return JobRun(run.run_id, "completed")
    if run.status is DagsterRunStatus.CANCELED:
        return JobRun(run.run_id, "cancelled", "The run was cancelled.")
    if run.status is DagsterRunStatus.FAILURE:
        late = job.run_id is None and was_not_started_in_time(instance, run.run_id)
        return JobRun(run.run_id, "not_started" if late else "failed", failure_of(instance, run.run_id)[1])
    return JobRun(run.run_id, "going_on")
