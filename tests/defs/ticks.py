"""What a tick of a sensor asks for, and what the daemon would make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest, SensorResult, job, op

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
PARTITION = "dagster/partition"


@op
def nothing() -> None:
    """Does nothing."""


def requested(result: SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


def reason(result: SensorResult) -> str:
    """Why nothing was requested."""
    assert not result.run_requests
    assert result.skip_reason is not None and result.skip_reason.skip_message is not None
    return result.skip_reason.skip_message


def run_of(instance: DagsterInstance, request: RunRequest, status: DagsterRunStatus) -> DagsterRun:
    """What the daemon makes of a request."""

    @job(name="tenant_pipeline")
    def pipeline() -> None:
        nothing()

    tags = {PARTITION: str(request.partition_key), "dagster/run_key": str(request.run_key)}
    return instance.create_run_for_job(pipeline, status=status, tags=tags)
