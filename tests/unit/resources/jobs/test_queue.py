"""The queue of jobs: turns of tenants, priorities, claims that end and rests that grow, whatever the kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import ORMExecuteState, Session

from resources.base.errors import Conflict, RecsaasError, TooManyRequests, UploadJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import suspend_tenant
from resources.jobs import store
from resources.jobs.claims import LEASE, LONGEST_REST, MAX_ATTEMPTS, claimant_name, lives_here
from resources.jobs.kinds.uploads import too_many_uploads
from resources.jobs.model import Job, JobError, JobKind, JobStatus, Outcome, Progress
from resources.jobs.queue import JobQueue
from resources.jobs.registry import POLICIES

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]
UPLOADS = (JobKind.UPLOAD,)
DONE = Outcome(status=JobStatus.DONE, result={"upload_id": "u"})


def never(unfinished: Job, count: int) -> RecsaasError:
    return Conflict(f"{count} unfinished, {unfinished.id}")


class Office:
    """A control DB with a clock."""

    def __init__(self, db: ControlDb, now: datetime) -> None:
        self.db, self.now = db, now

    def add(self, tenant: TenantId, name: str, *, kind: JobKind = JobKind.UPLOAD, priority: int = 0) -> Job:
        job = Job(
            tenant=tenant,
            id=name,
            kind=kind,
            input={"filename": "Artikel ü.csv"},
            priority=priority,
            created_at=self.now,
            updated_at=self.now,
        )
        return store.add_job(self.db, job, refused=too_many_uploads if kind is JobKind.UPLOAD else never)

    def queue(self, worker: str = "w") -> JobQueue:
        return JobQueue(self.db, lambda: self.now, worker)

    def claim(self, worker: str = "w", *, most_of_one: Mapping[JobKind, int] | None = None) -> Job | None:
        return self.queue(worker).claim(UPLOADS, most_of_one=most_of_one)

    def taken(self, worker: str = "w") -> Job:
        job = self.claim(worker)
        assert job is not None
        return job

    def job(self, job: Job) -> Job:
        return store.get_job(self.db, job.tenant, job.kind, job.id)

    def names(self, count: int) -> list[str]:
        """Claim and finish `count` jobs, one after the other."""
        found = []
        for _ in range(count):
            job = self.taken()
            assert self.queue().end(job, DONE)
            found.append(job.id)
            self.now += timedelta(seconds=1)
        return found


@pytest.fixture
def office(db: ControlDb, shops: Shops, now: datetime) -> Office:
    return Office(db, now)


def test_a_job_comes_back_as_it_was(office: Office, shops: Shops) -> None:
    job = office.add(shops[0], "a")
    assert office.job(job) == job
    assert store.count_unfinished(office.db, JobKind.UPLOAD) == {JobStatus.QUEUED: 1, JobStatus.RUNNING: 0}
    with pytest.raises(UploadJobNotFound, match="no upload job 'a'"):
        store.get_job(office.db, shops[1], JobKind.UPLOAD, "a")
    with pytest.raises(RecsaasError, match="no export 'a'"):
        store.get_job(office.db, shops[0], JobKind.EXPORT, "a")


def test_an_unfinished_job_stays_and_a_finished_one_may_come_again(office: Office, shops: Shops) -> None:
    first = office.add(shops[0], "a")
    office.now += timedelta(minutes=1)
    assert office.add(shops[0], "a") == first
    assert office.names(1) == ["a"]
    again = office.add(shops[0], "a")
    assert (again.created_at, again.status, again.attempts, again.result) == (office.now, JobStatus.QUEUED, 0, {})


def test_a_tenant_has_room_for_so_many_and_another_for_as_many(office: Office, shops: Shops) -> None:
    most = POLICIES[JobKind.UPLOAD].max_unfinished
    assert most is not None
    for number in range(most):
        office.add(shops[0], f"a{number}")
    with pytest.raises(TooManyRequests, match=f"{most} large uploads of tenant blue wait"):
        office.add(shops[0], "one too many")
    office.add(shops[0], "a0")  # a retry needs no room
    office.add(shops[1], "b")
    assert [job.id for job in store.list_unfinished(office.db, JobKind.UPLOAD, shops[1])] == ["b"]


def test_tenants_take_turns(office: Office, shops: Shops) -> None:
    for tenant, names in ((shops[0], ("a1", "a2", "a3")), (shops[1], ("b1", "b2"))):
        for name in names:
            office.add(tenant, name)
            office.now += timedelta(seconds=1)
    assert office.names(5) == ["a1", "b1", "a2", "b2", "a3"]
    assert office.claim() is None


def test_of_one_tenant_the_greatest_priority_goes_first_and_keeps_no_other_tenant_waiting(
    office: Office, shops: Shops
) -> None:
    office.add(shops[0], "a1")
    for name in ("a2", "a3"):
        office.add(shops[0], name, priority=5)
        office.now += timedelta(seconds=1)
    office.add(shops[1], "b1")
    assert office.names(4) == ["a2", "b1", "a3", "a1"]


def test_a_second_process_takes_the_other_tenants_job(office: Office, shops: Shops) -> None:
    for tenant, name in ((shops[0], "a1"), (shops[0], "a2"), (shops[1], "b1")):
        office.add(tenant, name)
        office.now += timedelta(microseconds=1)
    assert [office.taken(worker).id for worker in "xyz"] == ["a1", "b1", "a2"]


def test_a_worker_gets_the_kinds_that_it_asks_for(office: Office, shops: Shops) -> None:
    office.add(shops[0], "e", kind=JobKind.EXPORT)
    assert office.claim() is None
    job = office.queue().claim((JobKind.UPLOAD, JobKind.EXPORT))
    assert job is not None
    assert (job.id, job.status, job.attempts) == ("e", JobStatus.RUNNING, 1)


def test_jobs_of_a_suspended_tenant_wait_unless_their_kind_is_done_all_the_same(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    erasure = office.add(shops[0], "e", kind=JobKind.ERASURE)
    suspend_tenant(office.db, shops[0])
    assert office.claim() is None
    assert office.queue().claim((JobKind.UPLOAD, JobKind.ERASURE)) == office.job(erasure)


def test_noting_progress_keeps_the_claim(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    job = office.taken()
    for share in (0.2, 0.4, 0.6):
        office.now += LEASE
        assert office.queue().note(job, Progress(share=share, figures={}))
        assert office.claim("other") is None


def test_the_claim_of_a_dead_process_ends(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    dead = office.taken("dead")
    assert office.queue("dead").note(dead, Progress(share=0.6, figures={"bytes_done": 60}))
    assert (office.job(dead).progress, office.job(dead).result) == (0.6, {"bytes_done": 60})
    office.now += LEASE
    assert office.claim() is None
    office.now += timedelta(seconds=1)
    taken = office.taken("heir")
    assert (taken.status, taken.attempts, taken.progress, taken.result) == (JobStatus.RUNNING, 2, 0.0, {})
    assert not office.queue("dead").holds(dead)
    assert not office.queue("dead").renew(dead)
    assert not office.queue("dead").note(dead, Progress(share=0.7, figures={}))
    assert not office.queue("dead").end(dead, Outcome(status=JobStatus.FAILED))
    assert office.queue("heir").holds(taken)
    assert office.queue("heir").end(taken, DONE)
    assert (office.job(dead).result, office.job(dead).progress) == ({"upload_id": "u"}, 1.0)


def test_a_kind_that_resumes_keeps_what_was_noted(office: Office, shops: Shops) -> None:
    office.add(shops[0], "e", kind=JobKind.ERASURE)
    queue = office.queue("dead")
    dead = queue.claim((JobKind.ERASURE,))
    assert dead is not None
    assert queue.note(dead, Progress(share=0.5, figures={"found": 1}))
    office.now += 2 * LEASE
    again = office.queue().claim((JobKind.ERASURE,))
    assert again is not None
    assert (again.progress, again.result) == (0.5, {"found": 1})


def test_a_renewed_claim_does_not_end(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    kept = office.taken("slow")
    for _ in range(9):
        office.now += LEASE
        assert office.claim() is None
        assert office.queue("slow").renew(kept)


def test_a_claim_lost_by_a_process_that_lives_is_no_attempt(office: Office, shops: Shops) -> None:
    """It was slow, or stopped: the next one that takes the job up goes on with the same attempt."""
    office.add(shops[0], "a")
    for _ in range(10):
        assert office.taken(claimant_name()).attempts == 1
        office.now += timedelta(minutes=1)


def test_a_process_that_lives_is_told_from_one_that_died() -> None:
    tell = "import sys, resources.jobs.claims as c; print(c.claimant_name(), flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child:
        try:
            name = child.stdout.readline().strip()
            assert len(name) <= 64, "the column holds no more"
            assert lives_here(name)
            child.send_signal(signal.SIGSTOP)
            assert lives_here(name)
            machine, pid, began, token = name.split(":")
            assert not lives_here(f"elsewhere:{pid}:{began}:{token}")
            assert not lives_here(f"{machine}:{pid}:{int(began) - 3600}:{token}"), "its number had another one before"
        finally:
            child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not lives_here(name), "nobody has asked yet how it ended"
    assert not lives_here(name)
    assert not lives_here("a name of an earlier version:17:abcd")


def test_the_jobs_of_one_tenant_leave_a_place_to_others(office: Office, shops: Shops) -> None:
    for name in ("a1", "a2", "a3"):
        office.add(shops[0], name)

    def taken() -> str | None:
        job = office.claim(most_of_one={JobKind.UPLOAD: 2})
        return None if job is None else job.id

    assert [taken(), taken(), taken()] == ["a1", "a2", None]
    office.now += timedelta(seconds=1)
    office.add(shops[1], "b1")
    assert [taken(), taken()] == ["b1", None]
    first = store.get_job(office.db, shops[0], JobKind.UPLOAD, "a1")
    assert office.queue().end(first, DONE)
    assert taken() == "a3"


def test_rests_grow_to_a_bound_and_a_rest_is_no_attempt(office: Office, shops: Shops) -> None:
    added, waits = office.add(shops[0], "a"), []
    for _ in range(8):
        office.queue().rest(office.taken())
        began = office.now
        while (again := office.claim()) is None:
            office.now += timedelta(seconds=1)
        waits.append((office.now - began).total_seconds() - 1)
        office.queue().put_back(again)
    assert waits == [3, 6, 12, 24, 48, 96, 192, 300]
    assert (office.job(added).attempts, office.job(added).rests) == (0, 8)


def test_an_error_is_tried_again_until_the_attempts_are_used_up(office: Office, shops: Shops) -> None:
    added = office.add(shops[0], "a")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = office.taken()
        assert job.attempts == attempt
        assert office.queue().try_again(job) is (attempt < MAX_ATTEMPTS)
        office.now += LONGEST_REST + timedelta(seconds=1)
    assert office.job(added).status is JobStatus.RUNNING, "ending it is the caller's"


def test_only_finished_jobs_are_forgotten(office: Office, shops: Shops) -> None:
    office.add(shops[0], "old")
    assert office.names(1) == ["old"]
    waiting = office.add(shops[0], "waiting")
    store.forget_finished(office.db, shops[0], JobKind.UPLOAD, before=office.now + timedelta(days=1))
    store.forget_job(office.db, shops[0], "waiting")
    assert [job.id for job in store.list_jobs(office.db, shops[0])] == ["waiting"]
    assert office.job(waiting).status is JobStatus.QUEUED


def test_a_queued_job_is_cancelled_and_can_be_tried_again_where_its_kind_allows(office: Office, shops: Shops) -> None:
    export = office.add(shops[0], "e", kind=JobKind.EXPORT)
    with pytest.raises(Conflict, match="is queued"):
        store.retry_job(office.db, shops[0], JobKind.EXPORT, "e", now=office.now)
    cancelled = store.cancel_job(office.db, shops[0], JobKind.EXPORT, "e", now=office.now)
    assert (cancelled.status, cancelled.ended_at) == (JobStatus.CANCELLED, office.now)
    assert office.queue().claim((JobKind.EXPORT,)) is None
    again = store.retry_job(office.db, shops[0], JobKind.EXPORT, "e", now=office.now)
    assert (again.status, again.ended_at, again.cancel_requested) == (JobStatus.QUEUED, None, False)
    store.cancel_job(office.db, shops[0], JobKind.EXPORT, "e", now=office.now)
    office.add(shops[0], "e2", kind=JobKind.EXPORT)
    with pytest.raises(Conflict, match="e2 is one"):
        store.retry_job(office.db, shops[0], JobKind.EXPORT, export.id, now=office.now)


def test_a_running_job_ends_or_is_asked_or_goes_on_as_its_kind_says(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    office.add(shops[0], "x", kind=JobKind.ERASURE)
    running = office.taken()
    store.cancel_job(office.db, shops[0], JobKind.UPLOAD, "a", now=office.now)
    assert not office.queue().renew(running)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        store.cancel_job(office.db, shops[0], JobKind.ERASURE, "x", now=office.now)
    with pytest.raises(Conflict, match="Send the file again"):
        store.retry_job(office.db, shops[0], JobKind.UPLOAD, "a", now=office.now)


def test_a_job_that_has_ended_is_not_cancelled(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    job = office.taken()
    assert office.queue().end(job, Outcome(status=JobStatus.FAILED, error=JobError("internal_error", "boom")))
    with pytest.raises(Conflict, match="failed already"):
        store.cancel_job(office.db, shops[0], JobKind.UPLOAD, "a", now=office.now)
    assert office.job(job).error == JobError("internal_error", "boom")


def test_a_job_that_this_worker_wants_is_claimed_once(office: Office, shops: Shops) -> None:
    job = office.add(shops[0], "a")
    taken = office.queue("one").claim_job(job)
    assert taken == office.job(job) and taken.attempts == 1
    assert office.queue("two").claim_job(job) is None
    office.queue("one").put_back(taken)
    assert office.queue("two").claim_job(job) is not None


def test_a_claim_is_not_kept_by_an_earlier_one_of_the_same_worker(office: Office, shops: Shops) -> None:
    """The whole process stood still, and another of its threads was the first to look at the queue again."""
    office.add(shops[0], "a")
    first = office.taken("w")
    office.now += LEASE * 2
    second = office.taken("w")
    queue = office.queue("w")
    assert not queue.renew(first) and not queue.holds(first) and not queue.end(first, DONE)
    assert queue.holds(second) and queue.end(second, DONE)


def test_the_end_of_a_cancelled_job_is_not_that_of_the_same_file_sent_again(office: Office, shops: Shops) -> None:
    office.add(shops[0], "a")
    cancelled = office.taken("w")
    store.cancel_job(office.db, shops[0], JobKind.UPLOAD, "a", now=office.now)
    office.now += timedelta(milliseconds=20)
    office.add(shops[0], "a")
    again = office.taken("w")
    assert not office.queue("w").end(cancelled, DONE)
    assert office.job(again).status is JobStatus.RUNNING


def test_whoever_cancels_holds_the_row(office: Office, shops: Shops) -> None:
    """Where a database has many writers, the job may end between the look and the change; SQLite has one."""
    office.add(shops[0], "a")
    locked: list[bool] = []

    def look(state: ORMExecuteState) -> None:
        text = str(state.statement.compile(dialect=postgresql.dialect()))
        if "FROM jobs" in text:  # and nothing of the audit log
            locked.append("FOR UPDATE" in text)

    event.listen(Session, "do_orm_execute", look)
    try:
        store.cancel_job(office.db, shops[0], JobKind.UPLOAD, "a", now=office.now)
    finally:
        event.remove(Session, "do_orm_execute", look)
    assert locked == [True]
