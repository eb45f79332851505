"""Reasons of failed runs in words for a person, also of runs that were killed and cannot say so themselves."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import RunFailureReason
from dagster._utils.error import SerializableErrorInfo  # type: ignore[attr-defined]

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.dagster_resources import PARTITION_TAG
from resources.storage.run_lock import dead_run
from resources.training.runs import note_end

_DIED = (
    "The run's process was killed, or the machine went down. The live release is as it was before. "
    "Run the tenant again: recsaas run {tenant}"
)
INTERRUPTED = "The run was interrupted. The live release is as it was before."
"""What is recorded of a run that a person stopped with Ctrl-C."""


def failure_of(instance: DagsterInstance, run_id: str) -> tuple[str | None, str]:
    """The first failed step of a failed run, if a step was to blame, and the innermost error's own words."""
    for event in _events(instance, run_id, DagsterEventType.STEP_FAILURE):
        return event.step_key, _words(event.step_failure_data.error) or "no error was recorded"
    for event in _events(instance, run_id, DagsterEventType.RUN_FAILURE):
        error = event.job_failure_data.error if event.event_specific_data is not None else None
        return None, _words(error) or event.message or "The run failed before its first step."
    return None, "The run failed before its first step."


def was_not_started_in_time(instance: DagsterInstance, run_id: str) -> bool:
    """Whether Dagster gave a failed run up because its process took too long to begin, as on a busy machine."""
    failures = _events(instance, run_id, DagsterEventType.RUN_FAILURE)
    return any(
        event.job_failure_data.failure_reason is RunFailureReason.START_TIMEOUT
        for event in failures
        if event.event_specific_data is not None
    )


def fail_dead_runs(instance: DagsterInstance, home: Path, db: ControlDb, *, now: datetime) -> list[str]:
    """Mark every run as failed whose process was killed while it worked; return their ids.

    A run that was killed stays `started` in Dagster, and the queue would let no other run of its tenant start.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])):
        partition = run.tags.get(PARTITION_TAG)
        if partition is None or dead_run(home, TenantId.parse(partition)) != run.run_id:
            continue
        message = _DIED.format(tenant=partition)
        instance.report_run_failed(run, message)
        note_end(db, TenantId.parse(partition), run.run_id, status="failed", message=message, now=now)
        ended.append(run.run_id)
    return ended


def _events(instance: DagsterInstance, run_id: str, kind: DagsterEventType) -> list[DagsterEvent]:
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind) if entry.dagster_event is not None]


def _words(error: SerializableErrorInfo | None) -> str:
    """The innermost error's message, without the class that Dagster puts in front."""
    if error is None:
        return ""
    while error.cause is not None:
        error = error.cause
    if error.cls_name == DagsterExecutionInterruptedError.__name__:
        return INTERRUPTED
    words = error.message.strip()
    head, _, tail = words.partition(": ")  # `resources.base.errors.InvalidInput: Tenant …`
    return tail if tail and " " not in head else words
