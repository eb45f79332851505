"""The queue of large uploads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from resources.base.errors import TooManyRequests, UploadJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.upload_jobs import (
    JobStatus,
    UploadJob,
    claim_job,
    count_unfinished,
    enqueue_job,
    finish_job,
    forget_finished,
    get_job,
    list_unfinished,
    note_progress,
    release_claim,
    renew_claim,
)
from resources.jobs.claims import claimant_name, lives_here

Shops = tuple[TenantId, TenantId]
LEASE = timedelta(seconds=10)


def add(db: ControlDb, tenant: TenantId, name: str, at: datetime, *, most: int = 9) -> UploadJob:
    job = UploadJob(
        tenant=tenant,
        job_id=name,
        kind="items",
        filename="Artikel ü.csv",
        source="http",
        sha256="ab" * 32,
        validate_only=False,
        bytes_total=100,
        created_at=at,
        updated_at=at,
    )
    return enqueue_job(db, job, most=most)


def claim(db: ControlDb, now: datetime, worker: str = "w") -> UploadJob | None:
    return claim_job(db, worker=worker, now=now, until=now + LEASE)


def names(db: ControlDb, now: datetime, count: int) -> list[str]:
    """Claim and finish `count` jobs, one after the other."""
    found = []
    for turn in range(count):
        at = now + timedelta(seconds=turn)
        job = claim(db, at)
        assert job is not None
        assert finish_job(db, replace(job, status=JobStatus.STORED), worker="w", now=at)
        found.append(job.job_id)
    return found


def test_a_job_comes_back_as_it_was(db: ControlDb, shops: Shops, now: datetime) -> None:
    job = add(db, shops[0], "a", now)
    assert get_job(db, shops[0], "a") == job
    assert count_unfinished(db) == {JobStatus.QUEUED: 1, JobStatus.CHECKING: 0}
    with pytest.raises(UploadJobNotFound, match="no upload job 'a'"):
        get_job(db, shops[1], "a")


def test_an_unfinished_job_stays_and_a_finished_one_may_come_again(db: ControlDb, shops: Shops, now: datetime) -> None:
    first = add(db, shops[0], "a", now)
    later = now + timedelta(minutes=1)
    assert add(db, shops[0], "a", later) == first
    assert names(db, now, 1) == ["a"]
    assert add(db, shops[0], "a", later).created_at == later
    assert get_job(db, shops[0], "a").status is JobStatus.QUEUED


def test_a_tenant_has_room_for_so_many_and_another_for_as_many(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a", now, most=2)
    add(db, shops[0], "b", now, most=2)
    with pytest.raises(TooManyRequests, match="2 large uploads of tenant blue wait"):
        add(db, shops[0], "c", now, most=2)
    add(db, shops[0], "b", now, most=2)  # a retry needs no room
    add(db, shops[1], "c", now, most=2)
    assert [job.job_id for job in list_unfinished(db, shops[0])] == ["a", "b"]


def test_tenants_take_turns(db: ControlDb, shops: Shops, now: datetime) -> None:
    for position, name in enumerate(("a1", "a2", "a3")):
        add(db, shops[0], name, now + timedelta(seconds=position))
    for position, name in enumerate(("b1", "b2")):
        add(db, shops[1], name, now + timedelta(seconds=10 + position))
    assert names(db, now, 5) == ["a1", "b1", "a2", "b2", "a3"]
    assert claim(db, now) is None


def test_a_second_process_takes_the_other_tenants_job(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a1", now)
    add(db, shops[0], "a2", now)
    add(db, shops[1], "b1", now + timedelta(seconds=1))
    claimed = [claim(db, now, worker) for worker in "xyz"]
    assert [job and job.job_id for job in claimed] == ["a1", "b1", "a2"]


def test_the_claim_of_a_dead_process_ends(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a", now)
    dead = claim(db, now, "dead")
    assert dead is not None
    assert note_progress(db, dead, worker="dead", bytes_done=60, now=now)
    assert get_job(db, shops[0], "a").bytes_done == 60
    assert claim(db, now + LEASE) is None
    later = now + LEASE + timedelta(seconds=1)
    taken = claim(db, later, "heir")
    assert taken is not None
    assert (taken.status, taken.attempts, taken.bytes_done) == (JobStatus.CHECKING, 2, 0)
    assert not renew_claim(db, dead, worker="dead", now=later, until=later)
    assert not note_progress(db, dead, worker="dead", bytes_done=70, now=later)
    assert not finish_job(db, replace(dead, status=JobStatus.FAILED), worker="dead", now=later)
    assert finish_job(db, replace(taken, status=JobStatus.STORED, upload_id="u"), worker="heir", now=later)
    assert get_job(db, shops[0], "a").upload_id == "u"


def test_a_renewed_claim_does_not_end(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a", now)
    kept = claim(db, now, "slow")
    assert kept is not None
    for turn in range(1, 10):
        at = now + turn * LEASE
        assert claim(db, at) is None
        assert renew_claim(db, kept, worker="slow", now=at, until=at + LEASE)


def test_a_claim_lost_by_a_process_that_lives_is_no_attempt(db: ControlDb, shops: Shops, now: datetime) -> None:
    """It was slow, or stopped: the next one that takes the job up goes on with the same attempt."""
    add(db, shops[0], "a", now)
    for turn in range(10):
        taken = claim(db, now + turn * timedelta(minutes=1), claimant_name())
        assert taken is not None
        assert taken.attempts == 1


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


def test_the_files_of_one_tenant_leave_a_place_to_others(db: ControlDb, shops: Shops, now: datetime) -> None:
    for name in ("a1", "a2", "a3"):
        add(db, shops[0], name, now)

    def taken() -> str | None:
        job = claim_job(db, worker="w", now=now, until=now + LEASE, most_of_one=2)
        return None if job is None else job.job_id

    assert [taken(), taken(), taken()] == ["a1", "a2", None]
    add(db, shops[1], "b1", now + timedelta(seconds=1))
    assert [taken(), taken()] == ["b1", None]
    assert finish_job(db, replace(get_job(db, shops[0], "a1"), status=JobStatus.STORED), worker="w", now=now)
    assert taken() == "a3"


def test_a_released_job_waits_for_its_time(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a", now)
    job = claim(db, now)
    assert job is not None
    soon = now + timedelta(seconds=5)
    release_claim(db, job, worker="w", attempts=0, rests=1, now=now, not_before=soon)
    assert get_job(db, shops[0], "a").status is JobStatus.QUEUED
    assert claim(db, soon) is None
    again = claim(db, soon + timedelta(seconds=1))
    assert again is not None
    assert (again.attempts, again.rests) == (1, 1)


def test_only_finished_jobs_are_forgotten(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "old", now)
    assert names(db, now, 1) == ["old"]
    add(db, shops[0], "waiting", now)
    forget_finished(db, shops[0], before=now + timedelta(days=1))
    assert get_job(db, shops[0], "waiting").status is JobStatus.QUEUED
    with pytest.raises(UploadJobNotFound):
        get_job(db, shops[0], "old")
