"""What is running for a tenant, how far it is, and why it failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from resources.control_db.engine import ControlDb
from resources.control_db.runs import list_runs, note_end, note_epoch, note_stage
from resources.tenant import TenantId

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
