"""What is running for a tenant, how far it is, and why it failed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from resources.base.code_version import code_version
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.jobs import RunRow
from resources.control_db.tenants import resume_tenant, suspend_tenant
from resources.jobs.kinds.training import add_training_job, begin_training_job
from resources.tenants.training_request import TrainingKind, TrainingRequest
from resources.training.runs import (
    list_runs,
    newest_failed_under_other_code,
    next_run_at,
    note_end,
    note_epoch,
    note_stage,
)

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]


def test_a_run_from_its_first_stage_to_its_end(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    note_stage(db, blue, "run-1", "raw_items", now=now)
    note_stage(db, blue, "run-1", "lightgcn_model", now=now + timedelta(seconds=5))
    note_epoch(db, "run-1", epoch=3, total_epochs=80, metrics={"loss": 0.5, "ndcg@10": 0.1})
    (run,) = list_runs(db, blue)
    assert (run.run_id, run.tenant, run.status, run.stage) == ("run-1", blue, "running", "lightgcn_model")
    assert (run.epoch, run.total_epochs, run.metrics) == (3, 80, {"loss": 0.5, "ndcg@10": 0.1})
    assert (run.started_at, run.ended_at, run.message) == (now, None, None)
    end = now + timedelta(minutes=1)
    note_end(db, blue, "run-1", status="completed", message=None, now=end)
    (run,) = list_runs(db, blue)
    assert (run.status, run.started_at, run.ended_at) == ("completed", now, end)
    assert run.stage == "lightgcn_model"


def test_a_run_that_died_before_its_first_stage_is_recorded_too(db: ControlDb, shops: Shops, now: datetime) -> None:
    note_end(db, shops[0], "run-1", status="failed", message="Die Datei fehlt: ü", now=now)
    (run,) = list_runs(db, shops[0])
    assert (run.status, run.message, run.stage, run.metrics) == ("failed", "Die Datei fehlt: ü", None, {})
    assert run.started_at == run.ended_at == now


def test_a_run_that_is_retried_runs_again(db: ControlDb, shops: Shops, now: datetime) -> None:
    note_end(db, shops[0], "run-1", status="failed", message="boom", now=now)
    note_stage(db, shops[0], "run-1", "release", now=now + timedelta(seconds=1))
    (run,) = list_runs(db, shops[0])
    assert (run.status, run.ended_at) == ("running", None)


def test_an_epoch_of_an_unknown_run_changes_nothing(db: ControlDb, shops: Shops) -> None:
    note_epoch(db, "nothing", epoch=1, total_epochs=2, metrics={})
    assert list_runs(db, shops[0]) == ()


def test_runs_newest_first_up_to_a_limit_and_only_ones_own(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    for n in range(3):
        note_stage(db, blue, f"run-{n}", "release", now=now + timedelta(hours=n))
    note_stage(db, green, "other", "release", now=now)
    assert [run.run_id for run in list_runs(db, blue)] == ["run-2", "run-1", "run-0"]
    assert [run.run_id for run in list_runs(db, blue, limit=1)] == ["run-2"]
    assert [run.run_id for run in list_runs(db, green)] == ["other"]


def earlier(db: ControlDb, *run_ids: str, version: str | None = None) -> None:
    """Let the runs be of another version of the code; None: of one that did not note its version."""
    with db.write() as session:
        session.execute(update(RunRow).where(RunRow.run_id.in_(run_ids)).values(code_version=version))


def to_try_again(db: ControlDb) -> list[str]:
    return [run.run_id for run in newest_failed_under_other_code(db)]


def test_a_run_knows_the_version_of_the_code_that_worked_on_it_last(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    note_stage(db, blue, "begun", "raw_items", now=now)
    note_end(db, green, "never-began", status="failed", message="boom", now=now)
    assert [run.code_version for shop in shops for run in list_runs(db, shop)] == [code_version()] * 2
    earlier(db, "begun", version="0.0.1")
    note_end(db, blue, "begun", status="failed", message="killed", now=now)
    assert [run.code_version for run in list_runs(db, blue)] == ["0.0.1"]  # whoever finds it dead is not who worked
    note_stage(db, blue, "begun", "release", now=now)
    assert [run.code_version for run in list_runs(db, blue)] == [code_version()]


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_what_failed_with_another_version_is_found_until_this_one_has_tried(
    db: ControlDb, shops: Shops, now: datetime, version: str | None
) -> None:
    blue, _ = shops
    for n in range(2):
        note_end(db, blue, f"run-{n}", status="failed", message="out of memory", now=now + timedelta(hours=n))
    earlier(db, "run-0", "run-1", version=version)
    assert to_try_again(db) == ["run-1"]
    note_stage(db, blue, "run-2", "raw_items", now=now + timedelta(hours=2))
    assert to_try_again(db) == []
    note_end(db, blue, "run-2", status="failed", message="out of memory", now=now + timedelta(hours=3))
    assert to_try_again(db) == []


@pytest.mark.parametrize("status", ["completed", "cancelled", "running"])
def test_what_did_not_fail_is_not_tried_again(db: ControlDb, shops: Shops, now: datetime, status: str) -> None:
    blue, green = shops
    for shop in shops:
        note_end(db, shop, f"{shop}-1", status="failed", message="boom", now=now)
    note_end(db, blue, "blue-2", status=status, message=None, now=now + timedelta(hours=1))
    earlier(db, "blue-1", "blue-2", "green-1")
    assert to_try_again(db) == ["green-1"]
    suspend_tenant(db, green)
    assert to_try_again(db) == []
    resume_tenant(db, green)
    assert to_try_again(db) == ["green-1"]


def test_a_new_index_alone_says_nothing_about_the_run_before(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    for shop in shops:
        status = "failed" if shop == blue else "completed"
        note_end(db, shop, f"{shop}-1", status=status, message=None, now=now)
        job = add_training_job(db, shop, TrainingRequest(kind=TrainingKind.REINDEX), estimated_seconds=5.0, now=now)
        begin_training_job(db, shop, job.id, run_id=f"{shop}-index", now=now)
        status = "completed" if shop == blue else "failed"
        note_end(db, shop, f"{shop}-index", status=status, message=None, now=now + timedelta(hours=1))
    earlier(db, "blue-1", "blue-index", "green-1", "green-index")
    assert to_try_again(db) == ["blue-1"]


def test_a_tenant_whose_runs_fail_one_after_the_other_waits_longer_each_time(
    db: ControlDb, shops: Shops, now: datetime
) -> None:
    blue, green = shops
    waits = []
    for n in range(11):
        ended = now + timedelta(days=n)
        note_end(db, blue, f"run-{n}", status="failed", message="boom", now=ended)
        until = next_run_at(db, blue)
        waits.append(None if until is None else (until - ended) / timedelta(minutes=1))
    assert waits == [None, None, 10, 20, 40, 80, 160, 320, 360, 360, 360]
    assert next_run_at(db, green) is None
    note_end(db, blue, "run-11", status="completed", message=None, now=now + timedelta(days=11))
    assert next_run_at(db, blue) is None


def test_what_failed_with_another_version_waits_for_nothing(db: ControlDb, shops: Shops, now: datetime) -> None:
    for n in range(5):
        note_end(db, shops[0], f"run-{n}", status="failed", message="boom", now=now + timedelta(days=n))
    with db.write() as session:
        session.execute(update(RunRow).values(code_version="before"))
    assert next_run_at(db, shops[0]) is None
