"""The event log: durable, once per event id, in order, one tenant apart from the other."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError, StatementError

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.events import EventRow
from resources.events.log import EVENT_SCHEMA, Event, EventLog

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]
WHEN = datetime(2025, 6, 1, 10, tzinfo=UTC)


def event(event_id: str, item_id: str | None = "i", user_id: str = "u", **more: Any) -> Event:
    fields = {"interaction_type": "view", "timestamp": WHEN, **more}
    return Event(event_id=event_id, user_id=user_id, item_id=item_id, **fields)


@pytest.fixture
def log(db: ControlDb) -> EventLog:
    return EventLog(db)


def test_an_event_comes_back_as_it_was(log: EventLog, shops: Shops, now: datetime) -> None:
    sent = event(
        "é-1",
        "日本 🎧",
        "Łukasz",
        interaction_type="purchase",
        timestamp=datetime(2025, 6, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        rating=4.5,
        quantity=2.0,
        price=9.99,
        duration_seconds=0.0,
        session_id="s",
        recommendation_id="r",
        extra={"ort": "Köln", "n": 1},
    )
    (result,) = log.append(shops[0], [sent], now=now)
    table = log.export_after(shops[0])
    assert table.schema == EVENT_SCHEMA
    (logged,) = table.rows(named=True)
    assert logged == {
        "seq": result.seq,
        **{name: getattr(sent, name) for name in EVENT_SCHEMA if name not in ("seq", "extra", "received_at")},
        "extra": '{"ort": "Köln", "n": 1}',
        "received_at": now,
    }
    assert logged["timestamp"].isoformat() == "2025-06-01T10:30:00.123456+00:00"
    assert (result.event_id, result.duplicate) == ("é-1", False)
    assert log.events_of_user(shops[0], "Łukasz").equals(table)
    assert log.events_of_user(shops[1], "Łukasz").is_empty()


def test_the_same_event_id_changes_nothing(log: EventLog, shops: Shops, now: datetime) -> None:
    (first,) = log.append(shops[0], [event("e", "a")], now=now)
    (again,) = log.append(shops[0], [event("e", "a", timestamp=WHEN + timedelta(days=1))], now=now)
    assert (again.seq, again.duplicate) == (first.seq, True)
    assert log.export_after(shops[0])["item_id"].to_list() == ["a"]


def test_the_same_event_id_twice_in_one_batch(log: EventLog, shops: Shops, now: datetime) -> None:
    results = log.append(shops[0], [event("e", "a"), event("f", "b"), event("e", "a")], now=now)
    assert [result.duplicate for result in results] == [False, False, True]
    assert results[2].seq == results[0].seq
    assert log.export_after(shops[0])["item_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("other", [event("e", "b"), event("e", "a", "v"), event("e", "a", interaction_type="click")])
def test_an_event_id_with_other_content_is_a_conflict_that_is_named(
    log: EventLog, shops: Shops, now: datetime, other: Event
) -> None:
    with pytest.raises(Conflict) as twice:
        log.append(shops[0], [event("e", "a"), event("f"), other], now=now)
    assert [each.field for each in twice.value.details] == ["events.2.event_id"]
    assert log.export_after(shops[0]).is_empty()
    log.append(shops[0], [event("e", "a")], now=now)
    with pytest.raises(Conflict, match="another user, item or type, and nothing was stored") as later:
        log.append(shops[0], [other], now=now)
    assert [each.field for each in later.value.details] == ["event_id"]
    assert log.append(shops[1], [other], now=now)[0].duplicate is False


def test_a_batch_is_stored_all_or_none(log: EventLog, shops: Shops, now: datetime) -> None:
    naive = datetime(2025, 6, 1)
    with pytest.raises(StatementError, match="offset"):
        log.append(shops[0], [event("good"), event("bad", timestamp=naive), event("never")], now=now)
    assert log.export_after(shops[0]).is_empty()
    assert log.append(shops[0], [event("good")], now=now)[0].duplicate is False


def test_nothing_to_store(log: EventLog, shops: Shops, now: datetime) -> None:
    assert log.append(shops[0], [], now=now) == ()
    assert log.export_after(shops[0]).is_empty()
    assert log.last_seq(shops[0]) == 0


def test_two_tenants_may_use_the_same_event_id(log: EventLog, shops: Shops, now: datetime) -> None:
    blue, green = shops
    assert not log.append(blue, [event("e", "blue-item")], now=now)[0].duplicate
    assert not log.append(green, [event("e", "green-item")], now=now)[0].duplicate
    assert log.export_after(blue)["item_id"].to_list() == ["blue-item"]
    assert log.export_after(green)["item_id"].to_list() == ["green-item"]
    assert log.last_seq(blue) < log.last_seq(green)


def test_a_tenant_that_does_not_exist_gets_no_events(log: EventLog, shops: Shops, now: datetime) -> None:
    with pytest.raises(IntegrityError):
        log.append(TenantId("nobody"), [event("e")], now=now)


def test_export_is_in_order_of_acknowledgement_and_pages(log: EventLog, shops: Shops, now: datetime) -> None:
    late, early = WHEN, WHEN - timedelta(days=1)
    log.append(shops[0], [event("1", timestamp=late), event("2", timestamp=early)], now=now)
    log.append(shops[0], [event("3")], now=now)
    page = log.export_after(shops[0], limit=2)
    assert page["event_id"].to_list() == ["1", "2"]
    assert log.export_after(shops[0], page["seq"][-1])["event_id"].to_list() == ["3"]
    assert log.export_after(shops[0], log.last_seq(shops[0])).is_empty()


def test_the_number_of_an_erased_event_is_not_used_again(log: EventLog, shops: Shops, now: datetime) -> None:
    """Else the next event would lie below the watermarks of exports and releases."""
    (first,) = log.append(shops[0], [event("1")], now=now)
    with log.db.write() as session:
        session.execute(delete(EventRow))
    (second,) = log.append(shops[0], [event("2")], now=now)
    assert second.seq > first.seq


def test_threads_that_append_at_once_lose_nothing(log: EventLog, shops: Shops, now: datetime) -> None:
    new: list[bool] = []

    def work(name: int) -> None:
        for n in range(10):
            results = log.append(shops[0], [event(f"{name}-{n}"), event(f"shared-{n}")], now=now)
            new.extend(not result.duplicate for result in results)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logged = log.export_after(shops[0])
    assert sum(new) == len(logged) == 30
    assert len(set(logged["event_id"])) == 30


_APPENDER = """
import sys
from datetime import UTC, datetime
from resources.control_db.engine import open_control_db
from resources.events.log import Event, EventLog
from resources.base.tenant import TenantId
log, now = EventLog(open_control_db(sys.argv[1])), datetime.now(UTC)
for n in range(10):
    events = [Event(event_id=i, user_id="u", item_id="i", interaction_type="view", timestamp=now)
              for i in (f"{sys.argv[2]}-{n}", f"shared-{n}")]
    log.append(TenantId("blue"), events, now=now)
"""


@pytest.mark.e2e
def test_processes_that_append_at_once_lose_nothing(log: EventLog, shops: Shops) -> None:
    url = log.db.engine.url.render_as_string()
    processes = [subprocess.Popen([sys.executable, "-c", _APPENDER, url, name]) for name in ("one", "two")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(log.export_after(shops[0])) == 30
