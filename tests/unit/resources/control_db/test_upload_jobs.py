"""The queue of large uploads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

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
    release_claim,
    renew_claim,
)
from resources.errors import TooManyRequests, UploadJobNotFound
from resources.tenant import TenantId

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
    assert renew_claim(db, dead, worker="dead", bytes_done=60, now=now, until=now + LEASE)
    assert get_job(db, shops[0], "a").bytes_done == 60
    assert claim(db, now + LEASE) is None
    later = now + LEASE + timedelta(seconds=1)
    taken = claim(db, later, "heir")
    assert taken is not None
    assert (taken.status, taken.attempts, taken.bytes_done) == (JobStatus.CHECKING, 2, 0)
    assert not renew_claim(db, dead, worker="dead", bytes_done=70, now=later, until=later)
    assert not finish_job(db, replace(dead, status=JobStatus.FAILED), worker="dead", now=later)
    assert finish_job(db, replace(taken, status=JobStatus.STORED, upload_id="u"), worker="heir", now=later)
    assert get_job(db, shops[0], "a").upload_id == "u"


def test_a_released_job_waits_for_its_time(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "a", now)
    job = claim(db, now)
    assert job is not None
    soon = now + timedelta(seconds=5)
    release_claim(db, job, worker="w", attempts=0, now=now, not_before=soon)
    assert get_job(db, shops[0], "a").status is JobStatus.QUEUED
    assert claim(db, soon) is None
    again = claim(db, soon + timedelta(seconds=1))
    assert again is not None
    assert again.attempts == 1


def test_only_finished_jobs_are_forgotten(db: ControlDb, shops: Shops, now: datetime) -> None:
    add(db, shops[0], "old", now)
    assert names(db, now, 1) == ["old"]
    add(db, shops[0], "waiting", now)
    forget_finished(db, shops[0], before=now + timedelta(days=1))
    assert get_job(db, shops[0], "waiting").status is JobStatus.QUEUED
    with pytest.raises(UploadJobNotFound):
        get_job(db, shops[0], "old")
