"""Claims of jobs in the control DB: one process at a time works on a row, until it is done, stops, or dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, and_, func, or_, select, update

from resources.control_db.engine import ControlDb
from resources.control_db.tables import JobRow, TenantRow
from resources.tenant import TenantId


@dataclass(frozen=True, slots=True)
class JobQueue:
    """A table of jobs; `queued` and `working` are what it calls those that wait and those that are worked on."""

    rows: type[JobRow]
    queued: str
    working: str

    def claim(
        self, db: ControlDb, *, worker: str, now: datetime, until: datetime, noted: Mapping[str, Any]
    ) -> tuple[TenantId, str] | None:
        """Give `worker` the next job until `until`, and note these columns; None when nothing waits.

        The tenant with the fewest jobs being worked on comes first, then the one whose turn is longest ago, then the
        oldest job; so a tenant with many jobs does not keep the others waiting.
        """
        while (key := self._next(db, now)) is not None:
            statement = (
                update(self.rows)
                .where(self._is(*key), self._free(now))
                .values(
                    status=self.working,
                    claimed_by=worker,
                    claimed_until=until,
                    attempts=self.rows.attempts + 1,
                    updated_at=now,
                    **noted,
                )
            )
            if changes(db, statement):
                return TenantId(key[0]), key[1]
        return None

    def holds(self, db: ControlDb, tenant: TenantId, job_id: str, *, worker: str) -> bool:
        """Whether the job is still `worker`'s to do. Only reads."""
        statement = select(func.count()).select_from(self.rows).where(*self._claimed(tenant, job_id, worker))
        with db.read() as session:
            return bool(session.scalar(statement))

    def renew(
        self,
        db: ControlDb,
        tenant: TenantId,
        job_id: str,
        *,
        worker: str,
        now: datetime,
        until: datetime,
        noted: Mapping[str, Any],
    ) -> bool:
        """Keep the claim and note these columns; False when it is not `worker`'s any more."""
        return self._change(db, tenant, job_id, worker, {**noted, "claimed_until": until, "updated_at": now})

    def end(
        self, db: ControlDb, tenant: TenantId, job_id: str, *, worker: str, now: datetime, noted: Mapping[str, Any]
    ) -> bool:
        """End the claim and note these columns, the new status among them; False when it is not `worker`'s any more."""
        over = {"claimed_by": None, "claimed_until": None, "updated_at": now}
        return self._change(db, tenant, job_id, worker, {**noted, **over})

    def put_back(
        self,
        db: ControlDb,
        tenant: TenantId,
        job_id: str,
        *,
        worker: str,
        attempts: int,
        now: datetime,
        not_before: datetime,
    ) -> None:
        """Queue the job again, to be claimed from `not_before` on; nothing happens when it is not `worker`'s."""
        queued = {"status": self.queued, "claimed_by": None, "claimed_until": not_before}
        self._change(db, tenant, job_id, worker, {**queued, "attempts": attempts, "updated_at": now})

    def _change(self, db: ControlDb, tenant: TenantId, job_id: str, worker: str, values: Mapping[str, Any]) -> bool:
        return changes(db, update(self.rows).where(*self._claimed(tenant, job_id, worker)).values(**values))

    def _next(self, db: ControlDb, now: datetime) -> tuple[str, str] | None:
        """Return tenant and id of the job whose turn it is. Only reads, so idle workers never hold the write lock."""
        rows = self.rows
        active = select(TenantRow.id).where(TenantRow.status == "active")  # a suspended tenant's jobs wait
        waits = (self._free(now), rows.tenant_id.in_(active))
        free = select(rows.tenant_id, rows.job_id).where(*waits).order_by(rows.created_at, rows.job_id)
        running = select(rows.tenant_id).where(rows.status == self.working, rows.claimed_until >= now)
        with db.read() as session:
            waiting = [(tenant_id, job_id) for tenant_id, job_id in session.execute(free)]
            if not waiting:
                return None
            busy = Counter(session.scalars(running))
            served = select(rows.tenant_id, func.max(rows.updated_at)).where(
                rows.tenant_id.in_({tenant_id for tenant_id, _ in waiting}),
                rows.status != self.queued,
            )
            last = {tenant_id: time for tenant_id, time in session.execute(served.group_by(rows.tenant_id))}
        never = min(last.values(), default=now)
        # The sort is stable: among equals the oldest job stays first.
        return min(waiting, key=lambda key: (busy[key[0]], key[0] in last, last.get(key[0], never)))

    def _free(self, now: datetime) -> ColumnElement[bool]:
        return and_(
            self.rows.status.in_((self.queued, self.working)),
            or_(self.rows.claimed_until.is_(None), self.rows.claimed_until < now),
        )

    def _is(self, tenant_id: str, job_id: str) -> ColumnElement[bool]:
        return and_(self.rows.tenant_id == tenant_id, self.rows.job_id == job_id)

    def _claimed(self, tenant: TenantId, job_id: str, worker: str) -> tuple[ColumnElement[bool], ...]:
        return (
            self._is(tenant.value, job_id),
            self.rows.status == self.working,
            self.rows.claimed_by == worker,
        )


def changes(db: ControlDb, statement: Update) -> bool:
    """Execute the statement; whether it changed any row."""
    with db.write() as session:
        result = session.execute(statement)
        assert isinstance(result, CursorResult)
        return result.rowcount > 0
