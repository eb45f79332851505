"""The queue of jobs as one worker sees it: one process at a time works on a job, until it is done, stops, or dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, Update, and_, func, or_, select, update

from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.tables.jobs import JobRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.jobs.claims import LEASE, lives_here, rest_after
from resources.jobs.model import Job, JobKind, JobStatus, Outcome, Progress
from resources.jobs.registry import POLICIES
from resources.jobs.store import ended_columns, record_of


class _Waiting(NamedTuple):
    tenant_id: str
    id: str
    kind: str
    priority: int
    rests: int
    claimed_by: str | None
    """The worker whose claim has run out; None when the job was put into the queue."""


@dataclass(frozen=True, slots=True)
class JobQueue:
    """The queue for one worker. `worker` is its own name among all (see `claimant_name`)."""

    db: ControlDb
    clock: Clock
    worker: str

    def claim(
        self, kinds: Sequence[JobKind], *, most_of_one: Mapping[JobKind, int] | None = None, skip: Collection[str] = ()
    ) -> Job | None:
        """Take the next job of these kinds; None when nothing waits.

        The tenant with the fewest jobs being worked on comes first, then the one whose turn is longest ago; so a tenant
        with many jobs does not keep the others waiting. Of its jobs the one of the greatest priority comes first, then
        the oldest; of kinds that rotate, the one that was put back least often.

        A claim is an attempt. Where it takes the place of one that ran out while its process lives, it is the same
        attempt: that process was slow, or could not reach the database.

        Args:
            most_of_one: a tenant of whom so many jobs of a kind are being worked on gets no further one of it.
            skip: ids of jobs that this worker does not want now.
        """
        while (found := self._next(kinds, most_of_one or {}, skip)) is not None:
            job = self._take(found, (most_of_one or {}).get(JobKind(found.kind)))
            if job is not None:
                return job
        return None

    def claim_job(self, job: Job) -> Job | None:
        """Take this job and return it as it is now; None when it is not free."""
        with self.db.read() as session:
            row = session.get(JobRow, (job.tenant.value, job.id))
        if row is None:
            return None
        found = _Waiting(row.tenant_id, row.id, row.kind, row.priority, row.rests, row.claimed_by)
        return self._take(found, None)

    def holds(self, job: Job) -> bool:
        """Whether the job is still this worker's to do. Only reads."""
        with self.db.read() as session:
            return bool(session.scalar(select(func.count()).select_from(JobRow).where(self._claimed(job))))

    def renew(self, job: Job) -> bool:
        """Keep the claim; False when it is not this worker's any more."""
        now = self.clock()
        return self._change(job, {"claimed_until": now + LEASE, "updated_at": now})

    def note(self, job: Job, progress: Progress) -> bool:
        """Note how far a job in hand is and keep the claim; False when it is not this worker's any more."""
        now = self.clock()
        noted = {"progress": progress.share, "result": dict(progress.figures)}
        return self._change(job, {**noted, "claimed_until": now + LEASE, "updated_at": now})

    def end(self, job: Job, outcome: Outcome) -> bool:
        """End the job and its claim; False when it is not this worker's any more."""
        return self._change(job, ended_columns(outcome, now=self.clock()))

    def put_back(self, job: Job) -> None:
        """Queue a job that was interrupted, as if nobody had begun it."""
        self._queue(job, {"attempts": job.attempts - 1})

    def rest(self, job: Job) -> None:
        """Queue a job again for later, after an outage, which is not its fault."""
        self._queue(job, {"attempts": job.attempts - 1, **self._rested(job)})

    def try_again(self, job: Job) -> bool:
        """Queue a job again for later, after an error; False when its attempts are used up, and it is to end."""
        most = POLICIES[job.kind].max_attempts
        if most is not None and job.attempts >= most:
            return False
        self._queue(job, self._rested(job))
        return True

    def _rested(self, job: Job) -> Mapping[str, Any]:
        rest = min(rest_after(job.rests), POLICIES[job.kind].max_rest)
        return {"rests": job.rests + 1, "not_before": self.clock() + rest if rest > timedelta() else None}

    def _queue(self, job: Job, noted: Mapping[str, Any]) -> None:
        queued = {"status": JobStatus.QUEUED, "claimed_by": None, "claimed_until": None, "updated_at": self.clock()}
        self._change(job, {**queued, **noted})

    def _take(self, found: _Waiting, most_of_one: int | None) -> Job | None:
        """Claim the job that was found; None when another process was quicker."""
        now, tenant = self.clock(), TenantId(found.tenant_id)
        slow = found.claimed_by is not None and lives_here(found.claimed_by)
        anew = {} if POLICIES[JobKind(found.kind)].resumes else {"progress": 0.0, "result": {}}
        statement = (
            update(JobRow)
            .where(_is(found.tenant_id, found.id), _free(now), JobRow.claimed_by.is_not_distinct_from(found.claimed_by))
            .values(
                status=JobStatus.RUNNING,
                claimed_by=self.worker,
                claimed_until=now + LEASE,
                not_before=None,
                attempts=JobRow.attempts + (0 if slow else 1),
                started_at=now,
                updated_at=now,
                **anew,
            )
        )
        with self.db.write() as session:
            take_turns(session, tenant)
            busy = select(func.count()).where(
                _busy(now), JobRow.tenant_id == found.tenant_id, JobRow.kind == found.kind
            )
            if most_of_one is not None and (session.scalar(busy) or 0) >= most_of_one:
                return None
            result = session.execute(statement)
            assert isinstance(result, CursorResult)
            return record_of(session.get_one(JobRow, (found.tenant_id, found.id))) if result.rowcount > 0 else None

    def _next(
        self, kinds: Sequence[JobKind], most_of_one: Mapping[JobKind, int], skip: Collection[str]
    ) -> _Waiting | None:
        """Return the job whose turn it is. Only reads, so idle workers never hold the write lock."""
        now = self.clock()
        row = JobRow
        active = select(TenantRow.id).where(TenantRow.status == "active")  # the jobs of others wait, of most kinds
        always = [kind for kind in kinds if POLICIES[kind].while_suspended]
        waits = (row.kind.in_(kinds), _free(now), or_(row.tenant_id.in_(active), row.kind.in_(always)))
        columns = (row.tenant_id, row.id, row.kind, row.priority, row.rests, row.claimed_by)
        free = select(*columns).where(*waits).order_by(row.created_at, row.id)
        with self.db.read() as session:
            waiting = [each for each in (_Waiting(*row) for row in session.execute(free)) if each.id not in skip]
            if not waiting:
                return None
            in_hand = select(row.tenant_id, row.kind).where(row.kind.in_(kinds), _busy(now))
            busy = Counter((tenant_id, kind) for tenant_id, kind in session.execute(in_hand))
            turns = select(row.tenant_id, func.max(row.started_at)).where(
                row.kind.in_(kinds), row.tenant_id.in_({each.tenant_id for each in waiting})
            )
            last = {tenant_id: time for tenant_id, time in session.execute(turns.group_by(row.tenant_id))}
        of_tenant = Counter(tenant_id for tenant_id, _ in busy.elements())

        def turn(each: _Waiting) -> tuple[Any, ...]:
            served = last.get(each.tenant_id)
            return (
                of_tenant[each.tenant_id],
                (served is not None, served or now),
                -each.priority,
                each.rests if POLICIES[JobKind(each.kind)].rotates else 0,
            )

        allowed = [
            each
            for each in waiting
            if (most := most_of_one.get(JobKind(each.kind))) is None or busy[each.tenant_id, each.kind] < most
        ]
        return min(allowed, key=turn, default=None)  # among equals the oldest

    def _change(self, job: Job, values: Mapping[str, Any]) -> bool:
        return _changes(self.db, update(JobRow).where(self._claimed(job)).values(**values))

    def _claimed(self, job: Job) -> ColumnElement[bool]:
        """Whose claim it is and since when: another thread of this worker may have the job by now, or its successor."""
        claim = (JobRow.claimed_by == self.worker, JobRow.started_at == job.started_at)
        return and_(_is(job.tenant.value, job.id), JobRow.status == JobStatus.RUNNING, *claim)


def _busy(now: datetime) -> ColumnElement[bool]:
    return and_(JobRow.status == JobStatus.RUNNING, JobRow.claimed_until >= now)


def _free(now: datetime) -> ColumnElement[bool]:
    queued = and_(JobRow.status == JobStatus.QUEUED, or_(JobRow.not_before.is_(None), JobRow.not_before < now))
    return or_(queued, and_(JobRow.status == JobStatus.RUNNING, JobRow.claimed_until < now))


def _is(tenant_id: str, job_id: str) -> ColumnElement[bool]:
    return and_(JobRow.tenant_id == tenant_id, JobRow.id == job_id)


def _changes(db: ControlDb, statement: Update) -> bool:
    with db.write() as session:
        result = session.execute(statement)
        assert isinstance(result, CursorResult)
        return result.rowcount > 0
