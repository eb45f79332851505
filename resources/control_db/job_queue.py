"""Claims of jobs in the control DB: one process at a time works on a row, until it is done, stops, or dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, Update, and_, func, or_, select, update

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables import JobRow, TenantRow
from resources.control_db.tenants import take_turns
from resources.jobs.claims import lives_here


class _Waiting(NamedTuple):
    tenant_id: str
    job_id: str
    claimed_by: str | None
    """Whose claim has run out; None when the job was put into the queue."""


@dataclass(frozen=True, slots=True)
class JobQueue:
    """A table of jobs; `queued` and `working` are what it calls those that wait and those that are worked on."""

    rows: type[JobRow]
    queued: str
    working: str

    def claim(
        self,
        db: ControlDb,
        *,
        worker: str,
        now: datetime,
        until: datetime,
        noted: Mapping[str, Any],
        most_of_one: int | None = None,
    ) -> tuple[TenantId, str] | None:
        """Give `worker` the next job until `until`, and note these columns; None when nothing waits.

        The tenant with the fewest jobs being worked on comes first, then the one whose turn is longest ago, then the
        oldest job; so a tenant with many jobs does not keep the others waiting. A tenant of whom `most_of_one` jobs are
        being worked on gets no further one.

        A claim is an attempt. Where it takes the place of one that ran out while its process lives, it is the same
        attempt: that process was slow, or could not reach the database.
        """
        while (found := self._next(db, now, most_of_one)) is not None:
            slow = found.claimed_by is not None and lives_here(found.claimed_by)
            statement = (
                update(self.rows)
                .where(
                    self._is(found.tenant_id, found.job_id),
                    self._free(now),
                    self.rows.claimed_by.is_not_distinct_from(found.claimed_by),
                )
                .values(
                    status=self.working,
                    claimed_by=worker,
                    claimed_until=until,
                    attempts=self.rows.attempts + (0 if slow else 1),
                    updated_at=now,
                    **noted,
                )
            )
            with db.write() as session:
                tenant = TenantId(found.tenant_id)
                take_turns(session, tenant)
                busy = select(func.count()).where(self._busy(now), self.rows.tenant_id == found.tenant_id)
                if most_of_one is not None and (session.scalar(busy) or 0) >= most_of_one:
                    continue  # another process was quicker
                result = session.execute(statement)
                assert isinstance(result, CursorResult)
                if result.rowcount > 0:
                    return tenant, found.job_id
        return None

    def holds(self, db: ControlDb, tenant: TenantId, job_id: str, *, worker: str) -> bool:
        """Whether the job is still `worker`'s to do. Only reads."""
        statement = select(func.count()).select_from(self.rows).where(*self._claimed(tenant, job_id, worker))
        with db.read() as session:
            return bool(session.scalar(statement))

    def renew(
        self, db: ControlDb, tenant: TenantId, job_id: str, *, worker: str, now: datetime, until: datetime
    ) -> bool:
        """Keep the claim; False when it is not `worker`'s any more."""
        return self._change(db, tenant, job_id, worker, {"claimed_until": until, "updated_at": now})

    def note(
        self, db: ControlDb, tenant: TenantId, job_id: str, *, worker: str, now: datetime, noted: Mapping[str, Any]
    ) -> bool:
        """Note these columns of a job in hand; False when it is not `worker`'s any more."""
        return self._change(db, tenant, job_id, worker, {**noted, "updated_at": now})

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
        rests: int,
        now: datetime,
        not_before: datetime,
    ) -> None:
        """Queue the job again, to be claimed from `not_before` on; nothing happens when it is not `worker`'s."""
        queued = {"status": self.queued, "claimed_by": None, "claimed_until": not_before}
        noted = {"attempts": attempts, "rests": rests, "updated_at": now}
        self._change(db, tenant, job_id, worker, {**queued, **noted})

    def _change(self, db: ControlDb, tenant: TenantId, job_id: str, worker: str, values: Mapping[str, Any]) -> bool:
        return changes(db, update(self.rows).where(*self._claimed(tenant, job_id, worker)).values(**values))

    def _next(self, db: ControlDb, now: datetime, most_of_one: int | None) -> _Waiting | None:
        """Return the job whose turn it is. Only reads, so idle workers never hold the write lock."""
        rows = self.rows
        active = select(TenantRow.id).where(TenantRow.status == "active")  # a suspended tenant's jobs wait
        waits = (self._free(now), rows.tenant_id.in_(active))
        free = select(rows.tenant_id, rows.job_id, rows.claimed_by).where(*waits)
        with db.read() as session:
            waiting = [_Waiting(*row) for row in session.execute(free.order_by(rows.created_at, rows.job_id))]
            if not waiting:
                return None
            busy = Counter(session.scalars(select(rows.tenant_id).where(self._busy(now))))
            served = select(rows.tenant_id, func.max(rows.updated_at)).where(
                rows.tenant_id.in_({each.tenant_id for each in waiting}),
                rows.status != self.queued,
            )
            last = {tenant_id: time for tenant_id, time in session.execute(served.group_by(rows.tenant_id))}
        never = min(last.values(), default=now)
        if most_of_one is not None:
            waiting = [each for each in waiting if busy[each.tenant_id] < most_of_one]
        # The sort is stable: among equals the oldest job stays first.
        return min(
            waiting,
            key=lambda each: (busy[each.tenant_id], each.tenant_id in last, last.get(each.tenant_id, never)),
            default=None,
        )

    def _busy(self, now: datetime) -> ColumnElement[bool]:
        return and_(self.rows.status == self.working, self.rows.claimed_until >= now)

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
