"""Events of requests that come in together: one transaction, and each its own result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from bento_service.events.writer import MOST_EVENTS, EventWriter
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.events.log import Append, AppendResult, Event, EventLog

pytestmark = pytest.mark.databases

NOBODY = TenantId("nobody")


class Log:
    """The event log, and how many requests each of its transactions had. The first one waits until it may go on."""

    def __init__(self, db: ControlDb) -> None:
        self._log = EventLog(db)
        self.transactions: list[int] = []
        self.go_on = threading.Event()
        self.broken = False

    def append_all(self, appends: Sequence[Append]) -> list[tuple[AppendResult, ...]]:
        self.transactions.append(len(appends))
        assert self.go_on.wait(30)
        if self.broken:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))
        return self._log.append_all(appends)


@pytest.fixture
def log(db: ControlDb) -> Log:
    return Log(db)


def events(*ids: str, now: datetime) -> list[Event]:
    return [Event(event_id=each, user_id="ann", item_id="i1", interaction_type="view", timestamp=now) for each in ids]


async def all_of(log: Log, writer: EventWriter, *appends: tuple[TenantId, list[Event]], now: datetime) -> list[object]:
    """Send the first request, let the others come while it is written, then let it go on; return how all ended."""
    tasks = [asyncio.create_task(writer.append(tenant, sent, now=now)) for tenant, sent in appends]
    while not log.transactions:
        await asyncio.sleep(0)
    log.go_on.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_comes_while_one_is_written_goes_into_the_next_together(
    log: Log, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    blue, green = shops

    async def run() -> None:
        writer = EventWriter(log)  # type: ignore[arg-type]
        sent = [(blue, ["a"]), (green, ["a"]), (blue, ["b", "c"]), (green, ["b"]), (blue, ["c", "a"])]
        found = await all_of(log, writer, *[(tenant, events(*ids, now=now)) for tenant, ids in sent], now=now)
        assert log.transactions == [5] or log.transactions == [1, 4]
        results = [[(each.event_id, each.duplicate) for each in result] for result in found]  # type: ignore[attr-defined]
        assert results == [
            [("a", False)],
            [("a", False)],
            [("b", False), ("c", False)],
            [("b", False)],
            [("c", True), ("a", True)],
        ]
        again = await writer.append(blue, events("d", now=now), now=now)
        assert [each.duplicate for each in again] == [False]

    asyncio.run(run())
    assert EventLog(db).export_after(blue)["event_id"].to_list() == ["a", "b", "c", "d"]
    assert EventLog(db).export_after(green)["event_id"].to_list() == ["a", "b"]


def test_a_request_that_cannot_be_stored_takes_no_other_with_it(
    log: Log, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    async def run() -> list[object]:
        sent = [(shops[0], events("a", now=now)), (NOBODY, events("x", now=now)), (shops[0], events("b", now=now))]
        return await all_of(log, EventWriter(log), *sent, now=now)  # type: ignore[arg-type]

    first, second, third = asyncio.run(run())
    assert isinstance(second, IntegrityError)
    assert isinstance(first, tuple)
    assert isinstance(third, tuple)
    assert sorted(EventLog(db).export_after(shops[0])["event_id"]) == ["a", "b"]


def test_a_full_disk_is_told_to_all_and_the_next_request_is_tried(
    log: Log, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    log.broken = True

    async def run() -> None:
        writer = EventWriter(log)  # type: ignore[arg-type]
        sent = [(tenant, events("a", now=now)) for tenant in shops]
        found = await all_of(log, writer, *sent, now=now)
        assert [type(each) for each in found] == [OperationalError] * 2
        tried = len(log.transactions)
        assert tried <= 2  # none is tried again by itself: it would wait as long again
        log.broken = False
        assert await writer.append(shops[0], events("a", now=now), now=now)

    asyncio.run(run())


def test_a_client_that_goes_away_stops_nobody(
    log: Log, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    async def run() -> None:
        writer = EventWriter(log)  # type: ignore[arg-type]
        gone = asyncio.create_task(writer.append(shops[0], events("a", now=now), now=now))
        stays = asyncio.create_task(writer.append(shops[0], events("b", now=now), now=now))
        await asyncio.sleep(0)
        gone.cancel()
        log.go_on.set()
        assert await stays

    asyncio.run(run())
    assert EventLog(db).last_seq(shops[0]) > 0


def test_an_error_that_nobody_expects_reaches_whoever_asked(
    log: Log, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    async def run() -> list[object]:
        sent = [(shops[0], events("a", now=now)), (shops[0], events("b", now=now.replace(tzinfo=None)))]
        return await all_of(log, EventWriter(log), *sent, now=now)  # type: ignore[arg-type]

    first, second = asyncio.run(run())
    assert isinstance(first, tuple)
    assert "carry an offset" in str(second)


def test_a_large_request_does_not_hold_up_a_whole_transaction(
    log: Log, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    async def run() -> None:
        writer = EventWriter(log)  # type: ignore[arg-type]
        half = [f"e{number}" for number in range(MOST_EVENTS // 2)]
        sent = [(shops[0], events("first", now=now))]
        sent += [(shops[0], events(*[f"{part}-{each}" for each in half], now=now)) for part in range(3)]
        found = await all_of(log, writer, *sent, now=now)
        assert all(isinstance(each, tuple) for each in found)
        assert max(log.transactions) < 4

    asyncio.run(run())
