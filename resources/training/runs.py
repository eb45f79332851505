"""Runs in the control DB: what is running for a tenant, how far it is, why it failed.

The end of a run is also the end of the training job that asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from pydantic import JsonValue
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from resources.base.code_version import code_version
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.jobs import JobRow, RunRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.jobs.kinds.training import end_jobs_of_run, is_training_of
from resources.tenants.training_request import TrainingKind
from resources.training.run_costs import add_cost
from resources.webhooks.announcing import announce


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One Dagster run of a tenant. `status` is `running`, `completed`, `failed` or `cancelled`.

    `fit` names the fit of a model that `epoch` and `total_epochs` are of; None when they count something else.
    `code_version` is the version of recsaas that the run worked with last; None for runs from before it was noted.
    """

    run_id: str
    tenant: TenantId
    status: str
    stage: str | None
    message: str | None
    fit: str | None
    epoch: int | None
    total_epochs: int | None
    metrics: Mapping[str, float]
    started_at: datetime
    ended_at: datetime | None
    code_version: str | None = None


STOPPED = "The tenant was suspended, and its run with it. The live release is as it was before."
"""What is recorded of a run that ended because its tenant was suspended; another one begins when it is resumed."""


def note_stage(db: ControlDb, tenant: TenantId, run_id: str, stage: str, *, now: datetime) -> None:
    """Note that the run has reached `stage`; the first stage makes the row."""
    with db.write() as session:
        take_turns(session, tenant)  # the sensor may note the same run's end in this moment
        row = session.get(RunRow, run_id)
        if row is None:
            row = RunRow(run_id=run_id, tenant_id=tenant.value, status="running", metrics={}, started_at=now)
            session.add(row)
        row.stage = stage
        row.status = "running"
        row.code_version = code_version()  # a run that is retried may go on with newer code
        row.ended_at = None
        add_cost(session, tenant, run_id, now=now)


def note_epoch(
    db: ControlDb,
    run_id: str,
    *,
    epoch: int,
    total_epochs: int,
    metrics: Mapping[str, float],
    fit: str | None = None,
    now: datetime | None = None,
) -> None:
    """Note how far training is, and what it has cost so far."""
    with db.write() as session:
        row = session.get(RunRow, run_id)
        if row is not None:
            row.fit = fit
            row.epoch, row.total_epochs, row.metrics = epoch, total_epochs, dict(metrics)
            add_cost(session, TenantId(row.tenant_id), run_id, now=datetime.now(UTC) if now is None else now)


def note_end(db: ControlDb, tenant: TenantId, run_id: str, *, status: str, message: str | None, now: datetime) -> None:
    """Note how the run ended; `message` is for a person. The same end told again later keeps its first time."""
    with db.write() as session:
        take_turns(session, tenant)
        row = session.get(RunRow, run_id)
        if row is None:
            row = RunRow(run_id=run_id, tenant_id=tenant.value, metrics={}, code_version=code_version(), started_at=now)
            session.add(row)
        news = row.ended_at is None or row.status != status
        if (row.status, row.message) == (status, STOPPED):
            message = STOPPED  # whoever tells it again does not know why
        row.status, row.message, row.ended_at = status, message, now if news else row.ended_at
        if news:
            told: dict[str, JsonValue] = {"run_id": run_id, "status": status, "message": message}
            announce(session, tenant, "training.finished", told, now=now)
        add_cost(session, tenant, run_id, now=now, last=True)
        end_jobs_of_run(session, run_id, status=status, message=message, now=row.ended_at or now)


def note_cost(db: ControlDb, tenant: TenantId, run_id: str, *, now: datetime) -> None:
    """Note what the run has cost since it was noted last, at the end of what this process does for it."""
    with db.write() as session:
        add_cost(session, tenant, run_id, now=now, last=True)


def find_run(db: ControlDb, tenant: TenantId, run_id: str) -> RunRecord | None:
    """The run, if it has reached a stage or an end."""
    with db.read() as session:
        row = session.get(RunRow, run_id)
    return None if row is None or row.tenant_id != tenant.value else _record(row)


def list_runs(db: ControlDb, tenant: TenantId, *, limit: int = 50) -> tuple[RunRecord, ...]:
    """The tenant's runs, newest first."""
    statement = (
        select(RunRow)
        .where(RunRow.tenant_id == tenant.value)
        .order_by(RunRow.started_at.desc(), RunRow.run_id)
        .limit(limit)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


MOST_FAILURES = 3
"""Failed runs in a row after which the next one waits."""
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=6)
_RUNS_LOOKED_AT = 12


def next_run_at(db: ControlDb, tenant: TenantId) -> datetime | None:
    """When the next run may begin by itself; None when at once.

    After `MOST_FAILURES` failed runs in a row of one version of the code each waits twice as long as the one before,
    up to six hours: new data may mend what fails, but a tenant that fails at every upload would take the machine from
    the others.
    """
    failed = list(takewhile(lambda run: run.status == "failed", list_runs(db, tenant, limit=_RUNS_LOOKED_AT)))
    if len(failed) < MOST_FAILURES or failed[0].code_version != code_version():
        return None
    wait: timedelta = min(_FIRST_WAIT * 2 ** (len(failed) - MOST_FAILURES), _LONGEST_WAIT)
    return (failed[0].ended_at or failed[0].started_at) + wait


def newest_failed_under_other_code(db: ControlDb) -> tuple[RunRecord, ...]:
    """The newest run of every active tenant whose newest run failed with another version than the running one.

    Runs that build an index alone do not count: they say nothing about what a run of the whole graph meets.
    """
    return _newest(db, RunRow.status == "failed", RunRow.code_version.is_distinct_from(code_version()))


def newest_stopped(db: ControlDb) -> tuple[RunRecord, ...]:
    """The newest run of every active tenant whose newest run ended because the tenant was suspended then."""
    return _newest(db, RunRow.status == "cancelled", RunRow.message == STOPPED)


def _newest(db: ControlDb, *conditions: ColumnElement[bool]) -> tuple[RunRecord, ...]:
    """The newest runs of active tenants that fulfil the conditions, without those that build an index alone."""
    inner = aliased(RunRow)
    reindex = select(JobRow.id).where(is_training_of(inner.run_id), JobRow.subject == TrainingKind.REINDEX)
    newest = (
        select(inner.run_id)
        .where(inner.tenant_id == TenantRow.id, ~reindex.exists())
        .order_by(inner.started_at.desc(), inner.run_id)
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(RunRow)
        .join(TenantRow, RunRow.run_id == newest)
        .where(TenantRow.status == "active", *conditions)
        .order_by(RunRow.tenant_id)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def _record(row: RunRow) -> RunRecord:
    return RunRecord(
        run_id=row.run_id,
        tenant=TenantId(row.tenant_id),
        status=row.status,
        stage=row.stage,
        message=row.message,
        fit=row.fit,
        epoch=row.epoch,
        total_epochs=row.total_epochs,
        metrics=row.metrics,
        started_at=row.started_at,
        ended_at=row.ended_at,
        code_version=row.code_version,
    )
