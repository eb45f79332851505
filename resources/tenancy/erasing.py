"""Erasing a tenant: asked for, undone within a time of grace, then done place by place, and certified.

Once it has begun the tenant is `retired`, and there is no way back. Whatever kills the work, the next process empties
every place again; what was found before is noted in the job, so that the certificate counts it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, ErasureNotFound, TenantNotFound
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.tables.jobs import JobRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import (
    Tenant,
    named,
    resume_row,
    stop_row,
    stopped_by_member,
    tenant_fields,
    tenant_record,
    tenant_to_change,
)
from resources.decisions.store import DecisionStore
from resources.erasure.places.databases import remove_deleted_bytes
from resources.jobs.claims import claimant_name
from resources.jobs.kinds.tenant_erasures import TenantErasure, newest_tenant_erasure, queue_tenant_erasure
from resources.jobs.model import Job, JobKind, JobStatus, Outcome, Progress
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobControl, JobRunner
from resources.storage.lake import Lake
from resources.stores.locks import run_lock
from resources.tenancy.certificates import BEYOND, KEPT, ErasedPlace, TenantCertificate
from resources.tenancy.places import ErasurePlace, places_of

SUSPENDED_FIRST = timedelta(days=7)
"""How long a tenant has been suspended that may be erased without a time of grace."""
SETTLE = timedelta(seconds=10)
"""By then every worker knows that the tenant is stopped: it believes a key for five seconds."""
OWNER_GRACE = timedelta(days=30)
"""How long an owner can open a closed shop again."""
CLOSED = "Closed by its owner"
"""Why a shop is suspended that its owner has closed."""
_ROUNDS = 3


def request_tenant_erasure(
    db: ControlDb, tenant: TenantId, *, by: Actor, reason: str | None, grace: timedelta, at_once: bool, now: datetime
) -> Tenant:
    """Suspend the tenant, and have it erased when the time of grace is over. Asked for again, the first time counts.

    Args:
        at_once: without a time of grace; only for a tenant that has been suspended for seven days.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is erased already, or `at_once` and not suspended for long enough, or a member of the shop asks
            for what an operator has suspended.
    """
    with db.write() as session:
        row = _row_to_erase(session.get(TenantRow, tenant.value, with_for_update=True), tenant)
        before = tenant_fields(row)
        if at_once:
            since = row.suspended_at if row.status == "suspended" else None
            if since is None or now - since < SUSPENDED_FIRST:
                raise Conflict(
                    f"Tenant {tenant} has not been suspended for {SUSPENDED_FIRST.days} days. Suspend it, or let it be "
                    "erased after its time of grace."
                )
        wanted = now + (SETTLE if at_once else max(grace, SETTLE))
        if by.kind == "member" and row.status == "suspended" and not stopped_by_member(row):
            raise _operators(tenant)
        sooner = row.erase_after is None or wanted < row.erase_after
        taken_over = by.kind != "member" and stopped_by_member(row)
        if not sooner and not taken_over:
            return tenant_record(row)
        reason = reason or (None if taken_over else row.suspended_reason) or "To be erased"
        stop_row(row, by=by, reason=reason, now=now)
        if sooner:
            row.erase_after = wanted
            queue_tenant_erasure(session, tenant, by=named(by), not_before=wanted, now=now)
        change = Change(
            action="tenant.erase_request",
            object_kind="tenant",
            object_id=row.id,
            before=before,
            after=tenant_fields(row),
        )
        record(session, by, change, tenant=tenant, now=now)
        return tenant_record(row)


def close_shop(db: ControlDb, tenant: TenantId, *, by: Actor, now: datetime) -> Tenant:
    """Stop a shop for its owner, who can open it again for 30 days; then it is erased.

    Raises:
        TenantNotFound, Conflict: see `request_tenant_erasure`.
    """
    return request_tenant_erasure(db, tenant, by=by, reason=CLOSED, grace=OWNER_GRACE, at_once=False, now=now)


def reopen_shop(db: ControlDb, tenant: TenantId, *, by: Actor, now: datetime) -> Tenant:
    """Open a shop again that its owner has closed.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is not its owner who has closed it, or it is being erased.
    """
    with db.write() as session:
        row = tenant_to_change(session, tenant)
        if row.status == "suspended" and not stopped_by_member(row):
            raise _operators(tenant)
        return resume_row(session, row, by=by, now=now)


def certificate_of_tenant(db: ControlDb, tenant: TenantId) -> TenantCertificate:
    """Return the certificate of an erased tenant.

    Raises:
        ErasureNotFound: it is not erased, or not yet.
    """
    erasure = newest_tenant_erasure(db, tenant)
    if erasure.status != "completed":
        raise ErasureNotFound(f"Tenant {tenant} is not erased: its erasure {erasure.id} is {erasure.status}.")
    return TenantCertificate.model_validate(erasure.result)


@dataclass(frozen=True, slots=True)
class TenantEraser:
    """The handler of jobs that erase a tenant.

    `home` is the folder of the run locks, `more` are further places, and `told` hears each place when its turn comes.
    """

    lake: Lake
    db: ControlDb
    decisions: DecisionStore
    clock: Clock
    home: Path
    more: Sequence[ErasurePlace] = ()
    wait_seconds: float = 0.0
    told: Callable[[str, int], object] = lambda place, found: None

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Erase the tenant of a claimed job; one that was resumed meanwhile is left alone.

        Raises:
            Conflict: a run of it has not ended, or something still comes in; the job is tried again.
        """
        erasure = TenantErasure.of(job)
        if not self._begun(erasure):
            return Outcome(status=JobStatus.CANCELLED)
        with run_lock(self.db, self.home, job.tenant, wait_seconds=self.wait_seconds):
            self._require_rest(job)
            places = (*self.more, *places_of(self.lake, self.db, self.decisions, but_job=job.id))
            found: dict[str, int] = {name: int(count) for name, count in job.result.get("found", {}).items()}
            for _ in range(_ROUNDS):
                self._empty(erasure, places, found, control)
                left = {place.name: place.count(job.tenant) for place in places}
                if not any(left.values()):
                    return self._certified(erasure, found)
        still = ", ".join(name for name, count in left.items() if count)
        raise Conflict(f"Something of tenant {job.tenant} is still there: {still}. The erasure goes on by itself.")

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Leave everything as it is: the certificate is kept."""

    def _require_rest(self, job: Job) -> None:
        """Wait for jobs that were begun before the tenant was stopped: they would store what they make afterwards."""
        busy = (JobRow.status == JobStatus.RUNNING, JobRow.claimed_until >= self.clock(), JobRow.id != job.id)
        with self.db.read() as session:
            working = session.scalar(select(JobRow.id).where(JobRow.tenant_id == job.tenant.value, *busy).limit(1))
        if working is not None:
            raise Conflict(
                f"Job {working} of tenant {job.tenant} is still being worked on; the erasure goes on after it."
            )

    def _begun(self, erasure: TenantErasure) -> bool:
        """Retire the tenant, unless its erasure was undone or put off."""
        now = self.clock()
        with self.db.write() as session:
            row = session.get_one(TenantRow, erasure.tenant.value, with_for_update=True)
            if row.status == "retired":
                return True
            if row.status != "suspended" or row.erase_after is None or row.erase_after > now:
                return False
            row.status = "retired"
            return True

    def _empty(
        self, erasure: TenantErasure, places: Sequence[ErasurePlace], found: dict[str, int], control: JobControl
    ) -> None:
        for number, place in enumerate(places):
            count = place.count(erasure.tenant)
            # Noted before anything is removed. An attempt that was killed may count the rest of a place once more:
            # a place is never said to have held more than it did.
            found[place.name] = max(found.get(place.name, 0), count)
            control.note(Progress(share=number / len(places), figures={"found": found}))
            control.keep()
            self.told(place.name, count)
            place.empty(erasure.tenant)

    def _certified(self, erasure: TenantErasure, found: Mapping[str, int]) -> Outcome:
        left = (
            *remove_deleted_bytes(self.db.engine, "control DB", erasure.tenant.value),
            *remove_deleted_bytes(self.decisions.engine, "decision log", erasure.tenant.value),
        )
        with self.db.read() as session:
            erased_at = session.get_one(TenantRow, erasure.tenant.value).erased_at
        certificate = TenantCertificate(
            erasure_id=erasure.id,
            tenant=erasure.tenant.value,
            requested_at=erasure.requested_at,
            requested_by=erasure.requested_by,
            completed_at=erased_at or self.clock(),
            places=tuple(ErasedPlace(place=name, found=count, removed=count, left=0) for name, count in found.items()),
            kept=KEPT,
            out_of_reach=(*left, *BEYOND),
        ).hashed()
        if erased_at is None:
            self._bury(erasure, certificate)
        return Outcome(status=JobStatus.DONE, result=certificate.model_dump(mode="json"))

    def _bury(self, erasure: TenantErasure, certificate: TenantCertificate) -> None:
        """Leave the id alone of the tenant's row, and an entry in its audit log."""
        with self.db.write() as session:
            row = session.get_one(TenantRow, erasure.tenant.value, with_for_update=True)
            row.name, row.settings, row.suspended_reason = "", {}, None
            row.plan = row.currency = row.timezone = row.created_by = row.suspended_by = None
            row.erased_at = certificate.completed_at
            after = {"erasure": erasure.id, "certificate_sha256": certificate.sha256}
            change = Change(action="tenant.erase", object_kind="tenant", object_id=row.id, after=after)
            record(session, SYSTEM, change, tenant=erasure.tenant, now=certificate.completed_at)


def tenant_erasure_runner(eraser: TenantEraser) -> JobRunner:
    """A runner for erasures of tenants in this process, with a name of its own."""
    queue = JobQueue(eraser.db, eraser.clock, claimant_name())
    return JobRunner(queue, {JobKind.TENANT_ERASURE: eraser}, stop=threading.Event())


def _operators(tenant: TenantId) -> Conflict:
    return Conflict(f"Tenant {tenant} was suspended by the operator of this service; ask there.")


def _row_to_erase(row: TenantRow | None, tenant: TenantId) -> TenantRow:
    if row is not None and row.status == "retired":
        raise Conflict(f"Tenant {tenant} is erased already, or is being erased.")
    if row is None or row.status == "importing":
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return row
