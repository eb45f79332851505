"""What runs cost is counted as far as their own process has noted it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from time import process_time

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.training import run_costs
from resources.training.runs import note_cost, note_end, note_epoch, note_stage
from resources.usage.current import Usage, usage_of

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]


def usage(db: ControlDb, tenant: TenantId) -> Usage:
    with db.read() as session:
        return usage_of(session, tenant, since=date.min, until=date.max)


def work(seconds: float) -> None:
    until = process_time() + seconds
    while process_time() < until:
        pass


def test_a_run_costs_from_its_first_stage_to_its_end(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    note_stage(db, blue, "run-1", "raw_items", now=now)
    work(0.05)
    note_stage(db, blue, "run-1", "lightgcn_model", now=now + timedelta(seconds=5))
    assert usage(db, blue).training_seconds == 5
    assert 0.05 <= usage(db, blue).cpu_seconds < 5
    note_epoch(db, "run-1", epoch=1, total_epochs=2, metrics={}, now=now + timedelta(seconds=7))
    note_cost(db, blue, "run-1", now=now + timedelta(seconds=8))
    note_end(db, blue, "run-1", status="completed", message=None, now=now + timedelta(seconds=60))
    assert usage(db, blue).training_seconds == 8
    note_end(db, blue, "run-1", status="completed", message=None, now=now + timedelta(seconds=90))
    assert usage(db, blue).training_seconds == 8
    assert usage(db, green) == Usage()


def test_a_killed_run_costs_what_it_noted_last(
    db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours until somebody finds it and it is tried again are nobody's."""
    blue, _ = shops
    with monkeypatch.context() as dead:
        dead.setattr(run_costs, "_process", lambda pid: "another:1:1.0")
        note_stage(db, blue, "run-1", "raw_items", now=now)
        note_stage(db, blue, "run-1", "features", now=now + timedelta(seconds=3))
    note_end(db, blue, "run-1", status="failed", message="It died.", now=now + timedelta(hours=2))
    assert usage(db, blue).training_seconds == 3
    note_stage(db, blue, "run-1", "features", now=now + timedelta(hours=3))
    note_stage(db, blue, "run-1", "training_set", now=now + timedelta(hours=3, seconds=4))
    assert usage(db, blue).training_seconds == 7


def test_a_clock_that_is_set_back_takes_nothing_away(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    note_stage(db, blue, "run-1", "raw_items", now=now)
    note_stage(db, blue, "run-1", "features", now=now - timedelta(hours=1))
    note_stage(db, blue, "run-1", "training_set", now=now + timedelta(seconds=2))
    assert usage(db, blue).training_seconds == 2
