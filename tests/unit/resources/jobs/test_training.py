"""Training jobs: one at a time for a tenant, from the request to the end of their runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from resources.base.errors import Conflict, TrainingJobNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.jobs import store
from resources.jobs.kinds.training import (
    TrainingJob,
    TrainingStatus,
    add_training_job,
    ask_to_cancel,
    begin_training_job,
    end_training_job,
    get_training_job,
    is_cancelled,
    list_training_jobs,
    list_unfinished_training,
    note_release,
)
from resources.jobs.model import JobKind
from resources.tenants.training_request import TrainingKind, TrainingRequest
from resources.training.estimate import estimated_seconds
from resources.training.runs import note_end, note_stage

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]
REQUEST = TrainingRequest(
    kind=TrainingKind.TRAIN, model_type="lightgcn", hyperparameters={"dim": 8}, mode="full", auto_deploy=False
)


def add(db: ControlDb, tenant: TenantId, now: datetime, key: str | None = None) -> TrainingJob:
    return add_training_job(db, tenant, REQUEST, estimated_seconds=60.0, now=now, key=WriteKey.of(key, "train"))


def test_a_job_from_its_request_to_the_end_of_its_run(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    job = add(db, blue, now)
    assert (job.status, job.request, job.run_id, job.finished) == (TrainingStatus.QUEUED, REQUEST, None, False)
    begun = begin_training_job(db, blue, job.id, run_id="run-1", now=now + timedelta(seconds=5))
    assert (begun.status, begun.run_id) == (TrainingStatus.RUNNING, "run-1")
    assert [each.id for each in list_unfinished_training(db)] == [job.id]
    note_release(db, blue, job.id, version="v1", deployed=False)
    note_end(db, blue, "run-1", status="completed", message=None, now=now + timedelta(seconds=65))
    ended = get_training_job(db, blue, job.id)
    assert (ended.status, ended.seconds, ended.release_version, ended.deployed) == ("completed", 60.0, "v1", False)
    assert store.get_job(db, blue, JobKind.TRAINING, job.id).progress == 1.0
    assert list_unfinished_training(db) == ()


@pytest.mark.parametrize("begun", [False, True])
def test_a_second_job_is_refused_while_the_first_is_not_over(
    db: ControlDb, shops: Shops, now: datetime, begun: bool
) -> None:
    blue, green = shops
    first = add(db, blue, now)
    if begun:
        begin_training_job(db, blue, first.id, run_id="run-1", now=now)
    with pytest.raises(Conflict, match=first.id) as refused:
        add(db, blue, now)
    assert [(problem.field, problem.message) for problem in refused.value.details] == [("job_id", first.id)]
    add(db, green, now)
    end_training_job(db, first, status=TrainingStatus.FAILED, message="gone", now=now)
    second = add(db, blue, now)
    assert [job.id for job in list_training_jobs(db, blue, limit=5)] == [second.id, first.id]
    assert [job.id for job in list_training_jobs(db, blue, limit=5, before=second.created_at)] == [first.id]


def test_a_retry_with_its_key_is_answered_with_the_job_that_it_made(db: ControlDb, shops: Shops, now: datetime) -> None:
    assert add(db, shops[0], now, key="k").id == add(db, shops[0], now, key="k").id
    assert len(list_training_jobs(db, shops[0], limit=5)) == 1


def test_a_queued_job_is_cancelled_at_once_and_its_run_sees_it(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    job = add(db, blue, now)
    assert not is_cancelled(db, blue, job.id)
    assert ask_to_cancel(db, blue, job.id, now=now).status is TrainingStatus.CANCELLED
    assert ask_to_cancel(db, blue, job.id, now=now).status is TrainingStatus.CANCELLED
    late = begin_training_job(db, blue, job.id, run_id="run-1", now=now)
    assert (late.status, late.run_id) == (TrainingStatus.CANCELLED, None)
    assert is_cancelled(db, blue, job.id)


@pytest.mark.parametrize(
    ("end", "status"), [("cancelled", "cancelled"), ("failed", "cancelled"), ("completed", "completed")]
)
def test_a_running_job_is_asked_to_stop(db: ControlDb, shops: Shops, now: datetime, end: str, status: str) -> None:
    blue, _ = shops
    job = add(db, blue, now)
    begin_training_job(db, blue, job.id, run_id="run-1", now=now)
    asked = ask_to_cancel(db, blue, job.id, now=now)
    assert (asked.status, asked.cancel_requested, is_cancelled(db, blue, job.id)) == (
        TrainingStatus.RUNNING,
        True,
        True,
    )
    note_end(db, blue, "run-1", status=end, message="why", now=now)
    assert get_training_job(db, blue, job.id).status == status


def test_what_has_ended_is_not_cancelled_and_not_ended_again(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    job = add(db, blue, now)
    end_training_job(db, job, status=TrainingStatus.FAILED, message="boom", now=now)
    with pytest.raises(Conflict, match="failed already"):
        ask_to_cancel(db, blue, job.id, now=now)
    end_training_job(db, job, status=TrainingStatus.COMPLETED, message=None, now=now)
    assert (get_training_job(db, blue, job.id).status, get_training_job(db, blue, job.id).message) == ("failed", "boom")


def test_the_end_of_another_run_changes_no_job(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    job = add(db, blue, now)
    begin_training_job(db, blue, job.id, run_id="run-1", now=now)
    note_end(db, blue, "run-2", status="failed", message="boom", now=now)
    assert get_training_job(db, blue, job.id).status is TrainingStatus.RUNNING


def test_a_job_of_another_tenant_does_not_exist(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    job = add(db, blue, now)
    with pytest.raises(TrainingJobNotFound):
        get_training_job(db, green, job.id)
    with pytest.raises(TrainingJobNotFound):
        ask_to_cancel(db, green, job.id, now=now)
    assert list_training_jobs(db, green, limit=5) == ()
    assert get_training_job(db, blue, job.id).status is TrainingStatus.QUEUED


def test_the_estimate_is_the_median_of_runs_of_the_kind(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    assert estimated_seconds(db, blue, TrainingKind.TRAIN) > estimated_seconds(db, blue, TrainingKind.REINDEX)
    for n, seconds in enumerate((10, 30, 80)):
        note_stage(db, blue, f"run-{n}", "release", now=now)
        note_end(db, blue, f"run-{n}", status="completed", message=None, now=now + timedelta(seconds=seconds))
    note_stage(db, blue, "failed", "release", now=now)
    note_end(db, blue, "failed", status="failed", message="x", now=now + timedelta(hours=1))
    request = TrainingRequest(kind=TrainingKind.REINDEX)
    job = add_training_job(db, blue, request, estimated_seconds=1.0, now=now)
    begin_training_job(db, blue, job.id, run_id="reindex", now=now)
    note_stage(db, blue, "reindex", "release", now=now)
    note_end(db, blue, "reindex", status="completed", message=None, now=now + timedelta(seconds=3))
    assert estimated_seconds(db, blue, TrainingKind.TRAIN) == 30.0
    assert estimated_seconds(db, blue, TrainingKind.REINDEX) == 3.0
