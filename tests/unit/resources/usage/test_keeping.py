"""How long usage is kept by key."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.plans import UsageBatchRow, UsageRow
from resources.usage.adding import Batch, add_batch, add_usage
from resources.usage.amounts import Amounts, Counted
from resources.usage.current import usage_of
from resources.usage.keeping import first_day_by_key, forget_batches, roll_up, tenants_to_roll_up

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]


def add(db: ControlDb, tenant: TenantId, day: date, key: str, calls: int = 1) -> None:
    with db.write() as session:
        add_usage(session, {Counted(tenant.value, day, key, "recommend", "2xx"): Amounts(calls=calls)})


@pytest.mark.databases("sqlite")
def test_thirteen_whole_months_are_kept_by_key() -> None:
    assert first_day_by_key(date(2025, 6, 1)) == date(2024, 5, 1)
    assert first_day_by_key(date(2025, 1, 31)) == date(2023, 12, 1)
    assert first_day_by_key(date(2025, 2, 28)) == date(2024, 1, 1)


def test_old_usage_becomes_that_of_its_tenant(db: ControlDb, shops: Shops) -> None:
    blue, green = shops
    before = date(2024, 5, 1)
    for key in ("k1", "k2", ""):
        for day in (before - timedelta(days=1), before):
            add(db, blue, day, key, calls=10)
    add(db, green, before, "k1")
    with db.read() as session:
        assert tenants_to_roll_up(session, before) == (blue,)
    for expected in (2, 0):
        with db.write() as session:
            assert roll_up(session, blue, before) == expected
    with db.read() as session:
        rows = session.scalars(select(UsageRow).where(UsageRow.tenant_id == "blue"))
        found = {(row.day, row.key_id): row.calls for row in rows}
        assert usage_of(session, blue, since=date.min, until=date.max).calls == 60
    assert found == {
        (before - timedelta(days=1), ""): 30,
        (before, ""): 10,
        (before, "k1"): 10,
        (before, "k2"): 10,
    }


def test_batches_of_workers_long_gone_are_forgotten(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        add_batch(session, Batch("old", 1, {}), now=now - timedelta(days=31))
        add_batch(session, Batch("new", 1, {}), now=now)
        forget_batches(session, now=now)
    with db.read() as session:
        assert session.scalars(select(UsageBatchRow.worker)).all() == ["new"]
