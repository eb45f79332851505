"""Exports of the recommendations of all users, as jobs in the control DB; one process at a time works on each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from resources.base.errors import Conflict, ExportNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.job_queue import JobQueue, changes
from resources.control_db.tables import RecommendationExportRow as Row
from resources.control_db.tenants import take_turns

_MOMENT = timedelta(microseconds=1)


class ExportStatus(StrEnum):
    """`completed`, `failed` and `cancelled` are the ends."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExportFormat(StrEnum):
    """What the file is written as; also its suffix."""

    CSV = "csv"
    PARQUET = "parquet"


UNFINISHED = (ExportStatus.QUEUED, ExportStatus.RUNNING)
_QUEUE = JobQueue(Row, *UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What was asked for: `count` items for each user, with the rules of `scenario`."""

    count: int
    scenario: str | None
    format: ExportFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationExport:
    """One export.

    `started_at` is when the process began that works on it or has done it; `attempts` counts those that began and did
    not end, `rests` how often an outage or an error has put it back. `bytes` is the size of the file, None while there
    is none, and after it was removed.
    """

    tenant: TenantId
    id: str
    request: ExportRequest
    created_at: datetime
    status: ExportStatus = ExportStatus.QUEUED
    attempts: int = 0
    rests: int = 0
    release_version: str | None = None
    users_done: int = 0
    users_total: int | None = None
    rows: int | None = None
    bytes: int | None = None
    error_code: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.status not in UNFINISHED


def add_export(
    db: ControlDb, tenant: TenantId, request: ExportRequest, *, now: datetime, key: WriteKey | None = None
) -> RecommendationExport:
    """Queue an export; with a key that came before, return the export that it made.

    Raises:
        Conflict: another export of the tenant is in progress, or the key came before with another request.
        ExportNotFound: the export that the key made was removed.
    """
    with db.write() as session:
        take_turns(session, tenant)
        earlier = earlier_answer(session, tenant, key)
        if earlier is not None:
            return _record(_row(session, tenant, earlier["export_id"]))
        of_tenant = Row.tenant_id == tenant.value
        running = session.scalar(select(Row.job_id).where(of_tenant, Row.status.in_(UNFINISHED)))
        if running is not None:
            raise Conflict(
                f"Export {running} of tenant {tenant} is in progress, and one at a time may be. Wait for its end, or "
                "cancel it."
            )
        newest = session.scalar(select(func.max(Row.created_at)).where(of_tenant))
        at = now if newest is None else max(now, newest + _MOMENT)  # no two are of one age: lists have an order
        row = Row(
            tenant_id=tenant.value,
            job_id=f"export-{secrets.token_hex(10)}",
            count=request.count,
            scenario=request.scenario,
            format=request.format,
            status=ExportStatus.QUEUED,
            attempts=0,
            rests=0,
            users_done=0,
            created_at=at,
            updated_at=at,
        )
        session.add(row)
        remember_answer(session, tenant, key, {"export_id": row.job_id}, now=now)
        return _record(row)


def get_export(db: ControlDb, tenant: TenantId, export_id: str) -> RecommendationExport:
    """Return the export.

    Raises:
        ExportNotFound: the tenant has no export with this id.
    """
    with db.read() as session:
        return _record(_row(session, tenant, export_id))


def list_exports(
    db: ControlDb, tenant: TenantId, *, limit: int, before: datetime | None = None
) -> tuple[RecommendationExport, ...]:
    """Up to `limit` exports of the tenant, newest first; those asked for earlier than `before`, if it is given."""
    statement = select(Row).where(Row.tenant_id == tenant.value)
    if before is not None:
        statement = statement.where(Row.created_at < before)
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement.order_by(Row.created_at.desc()).limit(limit)))


def claim_export(db: ControlDb, *, worker: str, now: datetime, until: datetime) -> RecommendationExport | None:
    """Give `worker` the next export until `until`; None when nothing waits. Tenants take turns."""
    noted = {"started_at": now, "users_done": 0, "users_total": None, "release_version": None}
    key = _QUEUE.claim(db, worker=worker, now=now, until=until, noted=noted)
    return None if key is None else get_export(db, *key)


def holds_export(db: ControlDb, export: RecommendationExport, *, worker: str) -> bool:
    """Whether the export is still `worker`'s to do: not cancelled, not begun anew, not another one's."""
    return _QUEUE.holds(db, export.tenant, export.id, worker=worker)


def renew_export(db: ControlDb, export: RecommendationExport, *, worker: str, now: datetime, until: datetime) -> bool:
    """Keep the claim; False when it is not `worker`'s any more."""
    return _QUEUE.renew(db, export.tenant, export.id, worker=worker, now=now, until=until)


def note_progress(db: ControlDb, export: RecommendationExport, *, worker: str, now: datetime) -> bool:
    """Note the progress that `export` carries; False when it is not `worker`'s any more."""
    return _QUEUE.note(db, export.tenant, export.id, worker=worker, now=now, noted=_progress(export))


def finish_export(db: ControlDb, export: RecommendationExport, *, worker: str, now: datetime) -> bool:
    """Store the outcome that `export` carries; False when it is not `worker`'s any more."""
    noted = {
        **_progress(export),
        "status": export.status,
        "rows": export.rows,
        "bytes": export.bytes,
        "error_code": export.error_code,
        "message": export.message,
        "completed_at": now,
    }
    return _QUEUE.end(db, export.tenant, export.id, worker=worker, now=now, noted=noted)


def put_export_back(
    db: ControlDb,
    export: RecommendationExport,
    *,
    worker: str,
    attempts: int,
    rests: int,
    now: datetime,
    not_before: datetime,
) -> None:
    """Queue the export again, to be claimed from `not_before` on."""
    counts = {"attempts": attempts, "rests": rests}
    _QUEUE.put_back(db, export.tenant, export.id, worker=worker, now=now, not_before=not_before, **counts)


def cancel_export(db: ControlDb, export: RecommendationExport, *, now: datetime) -> bool:
    """End an export that is in progress, whoever works on it; False when it is finished already."""
    over = {"claimed_by": None, "claimed_until": None, "completed_at": now, "updated_at": now}
    statement = update(Row).where(*_is(export), Row.status.in_(UNFINISHED))
    return changes(db, statement.values(status=ExportStatus.CANCELLED, **over))


def restart_running(session: Session, tenant: TenantId) -> None:
    """Take the tenant's running export away from its process, and queue it to be begun anew."""
    anew = {"status": ExportStatus.QUEUED, "claimed_by": None, "claimed_until": None, "attempts": Row.attempts - 1}
    running = (Row.tenant_id == tenant.value, Row.status == ExportStatus.RUNNING)
    session.execute(update(Row).where(*running).values(**anew))


def note_file_gone(db: ControlDb, tenant: TenantId, export_id: str, *, code: str, message: str) -> None:
    """Note that a finished export has no file any more, and why."""
    statement = update(Row).where(Row.tenant_id == tenant.value, Row.job_id == export_id)
    changes(db, statement.values(bytes=None, error_code=code, message=message))


def forget_export(db: ControlDb, export: RecommendationExport) -> None:
    """Remove a finished export from the list."""
    with db.write() as session:
        session.execute(delete(Row).where(*_is(export), Row.status.not_in(UNFINISHED)))


def finished_before(db: ControlDb, time: datetime) -> tuple[RecommendationExport, ...]:
    """Exports of all tenants that were finished before a time."""
    statement = select(Row).where(Row.status.not_in(UNFINISHED), Row.completed_at < time)
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def _progress(export: RecommendationExport) -> Mapping[str, Any]:
    return {
        "users_done": export.users_done,
        "users_total": export.users_total,
        "release_version": export.release_version,
    }


def _is(export: RecommendationExport) -> tuple[Any, ...]:
    return Row.tenant_id == export.tenant.value, Row.job_id == export.id


def _row(session: Session, tenant: TenantId, export_id: str) -> Row:
    row = session.get(Row, (tenant.value, export_id))
    if row is None:
        raise ExportNotFound(
            f"Tenant {tenant} has no export {export_id[:80]!r}; finished ones are removed after some days. List the "
            "exports to see which there are, or ask for a new one."
        )
    return row


def _record(row: Row) -> RecommendationExport:
    return RecommendationExport(
        tenant=TenantId(row.tenant_id),
        id=row.job_id,
        request=ExportRequest(count=row.count, scenario=row.scenario, format=ExportFormat(row.format)),
        created_at=row.created_at,
        status=ExportStatus(row.status),
        attempts=row.attempts,
        rests=row.rests,
        release_version=row.release_version,
        users_done=row.users_done,
        users_total=row.users_total,
        rows=row.rows,
        bytes=row.bytes,
        error_code=row.error_code,
        message=row.message,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )
