"""Releases that go live have an entry each in the audit log, also where a process died before it wrote that."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from resources.access.actor import run_actor
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake
from resources.stores.release_moves import note_moves, promote, rollback
from resources.stores.tenant_store import TenantStore
from tests.unit.bento_service.shop import Shop
from tests.unit.resources.audit.chains import JANE, verified

pytestmark = pytest.mark.databases


@pytest.fixture
def shop(db: ControlDb, shops: tuple[TenantId, TenantId], tmp_path: Path) -> Shop:
    made = Shop(shops[0], "", Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, "b")
    for suffix in ("00000001", "00000002"):
        made.release(suffix=suffix, promote=False)
    return made


def store(shop: Shop) -> TenantStore:
    return TenantStore(shop.lake, shop.db, shop.tenant)


def moves(shop: Shop) -> list[tuple[str, str, str, Any]]:
    wanted = select(AuditRow).where(AuditRow.object_kind == "release").order_by(AuditRow.number)
    with shop.db.read() as session:
        return [
            (row.action, row.object_id[-1], row.actor_name, (row.after or {}).get("noted_later", False))
            for row in session.scalars(wanted)
        ]


def test_each_move_is_one_entry(shop: Shop, now: datetime) -> None:
    first, second = shop.versions
    promote(store(shop), first, now=now, by=run_actor("r1"))
    promote(store(shop), second, now=now + timedelta(hours=1), by=JANE, reason="looks better")
    promote(store(shop), second, now=now + timedelta(hours=2), by=JANE)  # is live already
    rollback(store(shop), now=now + timedelta(hours=3), by=JANE, reason="it does not")
    assert moves(shop) == [
        ("release.promote", "1", "run r1", False),
        ("release.promote", "2", "jane@example.com", False),
        ("release.rollback", "1", "jane@example.com", False),
    ]
    with shop.db.read() as session:
        entry = session.scalars(select(AuditRow).where(AuditRow.action == "release.promote")).all()[1]
    assert entry.before == {"version": first}
    assert entry.after is not None and (entry.after["reason"], entry.after["forced"]) == ("looks better", False)
    assert verified(shop.db, shop.tenant.value).unbroken
    assert note_moves(store(shop), now=now) == 0


def test_a_move_whose_process_died_is_noted_by_the_next_one(shop: Shop, now: datetime) -> None:
    first, second = shop.versions
    promote(store(shop), first, now=now, by=JANE)
    ReleaseStore(store(shop).folder).promote(second, now + timedelta(hours=1), "cli:jim")  # and dies
    rollback(store(shop), now=now + timedelta(hours=2), by=JANE)
    assert moves(shop)[1:] == [
        ("release.promote", "2", "cli:jim", True),
        ("release.rollback", "1", "jane@example.com", False),
    ]


def test_a_move_whose_process_died_is_noted_by_the_work_of_the_day(shop: Shop, now: datetime) -> None:
    ReleaseStore(store(shop).folder).promote(shop.versions[0], now, "run r1")
    assert [note_moves(store(shop), now=now), note_moves(store(shop), now=now)] == [1, 0]
    assert moves(shop) == [("release.promote", "1", "run r1", True)]


def test_no_entry_tells_of_a_move_that_did_not_happen(
    shop: Shop, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(*_: object) -> None:
        raise Conflict("another machine has moved it")

    monkeypatch.setattr("resources.release.store.write_pointer", conflict)
    with pytest.raises(Conflict):
        promote(store(shop), shop.versions[0], now=now, by=JANE)
    assert moves(shop) == []


def test_a_shop_without_releases_has_nothing_to_note(shop: Shop, now: datetime) -> None:
    assert note_moves(store(shop), now=now) == 0
