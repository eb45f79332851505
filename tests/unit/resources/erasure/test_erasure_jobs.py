"""Erasures in the queue of jobs: one process at a time works on each, and whoever stops leaves it to the next."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from resources.base.errors import Conflict
from resources.erasure.jobs import UserEraser, erase_now, erasure_runner
from resources.jobs.claims import LEASE
from resources.jobs.kinds.erasures import get_erasure
from resources.jobs.kinds.uploads import ReceivedUpload, may_be_checked, too_many_uploads
from resources.jobs.model import Job, JobKind, JobStatus
from resources.jobs.queue import JobQueue
from resources.jobs.store import add_job, cancel_job, get_job
from resources.storage.run_lock import tenant_run_lock
from tests.unit.resources.erasure.world import NOW, ZOE, World

pytestmark = pytest.mark.databases


def eraser(world: World) -> UserEraser:
    return UserEraser(world.lake, world.db, world.decisions, lambda: NOW, world.home)


def test_it_is_done_at_once_and_its_certificate_is_kept(world: World) -> None:
    world.track(ZOE)
    asked = world.request(ZOE)
    certificate = erase_now(eraser(world), asked)
    job = get_job(world.db, world.tenant, JobKind.ERASURE, asked.id)
    assert (job.status, job.progress, job.subject, job.attempts) == (JobStatus.DONE, 1.0, None, 1)
    assert job.result == certificate.model_dump(mode="json")
    assert erase_now(eraser(world), asked) == certificate, "asked again, it is shown"


def test_what_has_to_wait_is_put_back_and_done_by_the_next(world: World) -> None:
    asked = world.request(ZOE)
    with tenant_run_lock(world.home, world.tenant, wait_seconds=0, run_id="run-1"):
        with pytest.raises(Conflict, match="still going"):
            erase_now(eraser(world), asked)
        job = get_job(world.db, world.tenant, JobKind.ERASURE, asked.id)
        assert (job.status, job.attempts, job.subject) == (JobStatus.QUEUED, 0, ZOE)
        runner = erasure_runner(eraser(world))
        claimed = runner.claim()
        assert claimed is not None
        with pytest.raises(Conflict, match="still going") as waits:
            runner.run(claimed)
        runner.give_up(claimed, waits.value)
        assert runner.claim(skip={asked.id}) is None
    claimed = runner.claim()
    assert claimed is not None
    assert runner.run(claimed) is not None
    assert get_erasure(world.db, world.tenant, asked.id).status == "completed"


def test_the_check_of_a_file_that_was_just_cancelled_is_waited_for(world: World) -> None:
    """It may store the file before it notices, and the user would be back."""
    received = ReceivedUpload(
        kind="users", filename="u.csv", source="http", sha256="ab" * 32, validate_only=False, bytes_total=10
    )
    made: dict[str, Any] = {"kind": JobKind.UPLOAD, "input": asdict(received), "created_at": NOW, "updated_at": NOW}
    add_job(world.db, Job(tenant=world.tenant, id="waiting", **made), refused=too_many_uploads)
    cancel_job(world.db, world.tenant, JobKind.UPLOAD, "waiting", now=NOW)
    assert not may_be_checked(world.db, world.tenant, now=NOW), "nobody had begun it"
    add_job(world.db, Job(tenant=world.tenant, id="checking", **made), refused=too_many_uploads)
    assert JobQueue(world.db, lambda: NOW, "w").claim((JobKind.UPLOAD,)) is not None
    cancel_job(world.db, world.tenant, JobKind.UPLOAD, "checking", now=NOW)
    asked = world.request(ZOE)
    with pytest.raises(Conflict, match="still to be checked"):
        erase_now(eraser(world), asked)
    later = replace(eraser(world), clock=lambda: NOW + LEASE)
    assert erase_now(later, asked)


def test_no_two_processes_work_on_one(world: World) -> None:
    asked = world.request(ZOE)
    assert erasure_runner(eraser(world)).claim() is not None
    with pytest.raises(Conflict, match="Another process is working on"):
        erase_now(eraser(world), asked)
    assert get_erasure(world.db, world.tenant, asked.id).status == "pending"
