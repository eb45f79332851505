"""Entries that go because of their age, the heads that are written down, and that both are done once a day."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from resources.audit.entries import PLATFORM_CHAIN
from resources.audit.keeping.daily import AuditKeeper, heads_folder
from resources.audit.keeping.heads import read_all_heads, read_heads, write_heads
from resources.audit.keeping.retention import expire_entries
from resources.base.errors import CorruptArtifact
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditHeadRow, AuditRow
from resources.storage.lake import Lake
from tests.unit.conftest import BLUE, GREEN
from tests.unit.resources.audit.chains import tamper, verified, write_chain

pytestmark = pytest.mark.databases
YEAR = timedelta(days=365)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(home=tmp_path, database=database_url)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake.open(settings.lake_url, scratch=settings.scratch)


def entries(db: ControlDb, chain: str) -> list[AuditRow]:
    with db.read() as session:
        found = select(AuditRow).where(AuditRow.chain == chain).order_by(AuditRow.number)
        return list(session.scalars(found))


def test_old_entries_go_and_the_rest_stays_verifiable(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 5, now - timedelta(days=400))
    write_chain(db, BLUE, 3, now)
    write_chain(db, None, 2, now - timedelta(days=400))
    write_chain(db, GREEN, 2, now)
    last = entries(db, "blue")[4].hash
    assert expire_entries(db, before=now - YEAR, now=now) == 7
    blue = entries(db, "blue")
    assert [row.number for row in blue] == [6, 7, 8, 9]
    assert (blue[-1].action, blue[-1].actor_kind) == ("audit.expire", "system")
    assert blue[-1].after is not None
    assert (blue[-1].after["removed_until"], blue[-1].after["removed"], blue[-1].after["last_sha256"]) == (5, 5, last)
    found = verified(db, "blue")
    assert (found.unbroken, found.first, found.last, found.entries) == (True, 6, 9, 4)
    assert [row.action for row in entries(db, PLATFORM_CHAIN)] == ["audit.expire"]
    assert verified(db, PLATFORM_CHAIN).unbroken
    assert len(entries(db, "green")) == 2
    assert expire_entries(db, before=now - YEAR, now=now) == 0


def test_what_is_removed_behind_its_back_is_found_after_that_as_well(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 3, now - timedelta(days=400))
    write_chain(db, BLUE, 3, now)
    expire_entries(db, before=now - YEAR, now=now)
    tamper(db, "DELETE FROM audit_log WHERE chain = 'blue' AND number = 4")
    found = verified(db, "blue").broken
    assert found is not None and (found.number, found.damage) == (4, "removed")


def test_more_than_go_at_once_go_in_several_turns(
    db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.audit.keeping.retention._AT_ONCE", 2)
    write_chain(db, BLUE, 5, now - timedelta(days=400))
    assert expire_entries(db, before=now - YEAR, now=now) == 5
    assert [row.number for row in entries(db, "blue")] == [6, 7, 8]
    assert verified(db, "blue").unbroken


def test_an_old_entry_behind_a_young_one_waits_for_it(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 1, now)
    write_chain(db, BLUE, 1, now - timedelta(days=400))  # a clock was wrong
    assert expire_entries(db, before=now - YEAR, now=now) == 0


def test_heads_are_written_once_a_day_and_stay(db: ControlDb, lake: Lake, settings: Settings, now: datetime) -> None:
    write_chain(db, BLUE, 2, now)
    folder = heads_folder(settings, lake)
    file = write_heads(db, folder, now=now)
    first = file.read_bytes()
    write_chain(db, BLUE, 1, now)
    write_heads(db, folder, now=now + timedelta(hours=1))
    assert file.read_bytes() == first and file.name == "heads-2025-06-01.json"
    write_heads(db, folder, now=now + timedelta(days=1))
    heads = read_heads(folder, "blue")
    assert read_all_heads(folder) == {"blue": heads}
    assert sorted(heads) == [2, 3]
    assert verified(db, "blue", exported=heads).heads == 2


def test_heads_that_cannot_be_read_or_contradict_each_other_are_named(
    db: ControlDb, lake: Lake, settings: Settings, now: datetime
) -> None:
    write_chain(db, BLUE, 2, now)
    write_chain(db, GREEN, 1, now)
    folder = heads_folder(settings, lake)
    file = write_heads(db, folder, now=now)
    other = json.loads(file.read_text())
    first = other["heads"]["blue"]["hash"]
    other["heads"]["blue"]["hash"] = "0" * 64
    later = folder / "heads-2025-06-02.json"
    later.write_text(json.dumps(other))
    heads, neighbours = read_heads(folder, "blue"), read_heads(folder, "green")
    assert heads == {2: (first, "0" * 64)} and read_all_heads(folder) == {"blue": heads, "green": neighbours}
    broken = verified(db, "blue", exported=heads).broken
    assert broken is not None and (broken.number, broken.damage, broken.expected) == (2, "changed", "0" * 64)
    behind = verified(db, "blue", exported=heads, after=2).broken
    assert behind is not None and (behind.number, behind.damage) == (2, "changed")
    assert "contradict each other" in behind.message
    assert verified(db, "green", exported=neighbours).unbroken and len(neighbours) == 1
    later.write_text("{")
    with pytest.raises(CorruptArtifact, match=r"heads-2025-06-02.json .* cannot be read"):
        read_heads(folder, "green")


def test_without_heads_there_is_nothing_to_compare(lake: Lake, settings: Settings) -> None:
    assert read_heads(heads_folder(settings, lake), "blue") == read_all_heads(heads_folder(settings, lake)) == {}


def test_the_work_of_a_day_is_done_by_one_process(db: ControlDb, lake: Lake, settings: Settings, now: datetime) -> None:
    write_chain(db, BLUE, 1, now - timedelta(days=400))
    clock = [now]
    one, other = (AuditKeeper(db, lake, settings, lambda: clock[0]) for _ in range(2))
    assert [one.keep(), other.keep(), one.keep()] == [True, False, False]
    clock[0] = now + timedelta(days=1)
    assert [other.keep(), one.keep()] == [True, False]
    assert sorted(each.name for each in heads_folder(settings, lake).iterdir()) == [
        "heads-2025-06-01.json",
        "heads-2025-06-02.json",
    ]
    with db.read() as session:
        assert session.get_one(AuditHeadRow, "blue").removed_until == 1


def test_work_that_broke_off_is_done_by_the_next_one_half_an_hour_later(
    db: ControlDb, lake: Lake, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now]
    keeper = AuditKeeper(db, lake, settings, lambda: clock[0])
    with monkeypatch.context() as patch:
        patch.setattr("resources.audit.keeping.daily.write_heads", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            keeper.keep()
    assert not keeper.keep()
    clock[0] = now + timedelta(minutes=31)
    assert keeper.keep()
