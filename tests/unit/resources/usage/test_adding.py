"""Amounts are added once, whoever tries again."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.plans import UsageRow
from resources.usage.adding import Batch, add_batch, add_usage
from resources.usage.amounts import Amounts, Counted, status_class, without_keys
from resources.usage.current import Usage, usage_of

pytestmark = pytest.mark.databases
BLUE, GREEN = TenantId("blue"), TenantId("green")
TODAY = date(2025, 6, 1)


def counted(tenant: str = "blue", *, key: str = "k1", operation: str = "recommend", status: str = "2xx") -> Counted:
    return Counted(tenant, TODAY, key, operation, status)


def usage(db: ControlDb, tenant: TenantId = BLUE, *, since: date = TODAY, until: date = TODAY) -> Usage:
    with db.read() as session:
        return usage_of(session, tenant, since=since, until=until)


def test_amounts_add_up_by_key_operation_and_status(db: ControlDb) -> None:
    for _ in range(2):
        with db.write() as session:
            add_usage(
                session,
                {
                    counted(): Amounts(calls=3, recommended_items=30),
                    counted(status="5xx"): Amounts(calls=1),
                    counted(status="refused"): Amounts(calls=2),
                    counted(key="k2", operation="events"): Amounts(calls=1, events=5),
                    counted("green"): Amounts(calls=100),
                    counted(key="k3"): Amounts(),
                },
            )
    assert usage(db) == Usage(calls=8, refused_calls=4, failed_calls=2, recommended_items=60, events=10)
    assert usage(db, GREEN).calls == 200
    with db.read() as session:
        assert len(session.scalars(select(UsageRow)).all()) == 5  # nothing was used by k3


def test_days_outside_of_the_stretch_do_not_count(db: ControlDb) -> None:
    with db.write() as session:
        for day in range(5):
            key = Counted("blue", TODAY + timedelta(days=day), "k1", "recommend", "2xx")
            add_usage(session, {key: Amounts(calls=10**day)})
    assert usage(db, since=TODAY + timedelta(days=1), until=TODAY + timedelta(days=3)).calls == 1110


def test_a_batch_that_is_tried_again_counts_once(db: ControlDb, now: datetime) -> None:
    def add(number: int, worker: str = "w1") -> bool:
        with db.write() as session:
            return add_batch(session, Batch(worker, number, {counted(): Amounts(calls=7)}), now=now)

    assert [add(1), add(1), add(2), add(1), add(2), add(1, "w2")] == [True, False, True, False, False, True]
    assert usage(db).calls == 21


def test_a_batch_that_was_rolled_back_may_come_again(db: ControlDb, now: datetime) -> None:
    batch = Batch("w1", 1, {counted(): Amounts(calls=7)})
    with pytest.raises(ZeroDivisionError), db.write() as session:
        add_batch(session, batch, now=now)
        raise ZeroDivisionError
    with db.write() as session:
        assert add_batch(session, batch, now=now)
    assert usage(db).calls == 7


def test_workers_that_write_the_same_rows_at_once_lose_nothing(db: ControlDb, now: datetime) -> None:
    """Each has the rows in another order; taken like that, two transactions would wait for each other."""
    failed: list[Exception] = []

    def write(worker: int) -> None:
        keys = [counted(tenant, key=f"k{n}") for tenant in ("blue", "green") for n in range(5)]
        if worker % 2:
            keys.reverse()
        try:
            for number in range(1, 11):
                with db.write() as session:
                    add_batch(session, Batch(f"w{worker}", number, dict.fromkeys(keys, Amounts(calls=1))), now=now)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert usage(db).calls == usage(db, GREEN).calls == 4 * 10 * 5


@pytest.mark.databases("sqlite")
def test_classes_of_status_say_what_is_billed() -> None:
    classes = {status: status_class(status) for status in (200, 202, 304, 404, 422, 401, 402, 403, 429, 500, 503)}
    assert [status for status, found in classes.items() if found in ("2xx", "3xx", "4xx")] == [200, 202, 304, 404, 422]
    assert [status for status, found in classes.items() if found == "refused"] == [401, 402, 403, 429]
    assert [status for status, found in classes.items() if found == "5xx"] == [500, 503]


@pytest.mark.databases("sqlite")
def test_keys_may_be_added_up_to_their_tenant() -> None:
    entries = {counted(key="a"): Amounts(calls=1), counted(key="b"): Amounts(calls=2), counted("green"): Amounts(3)}
    assert without_keys(entries) == {counted(key=""): Amounts(calls=3), counted("green", key=""): Amounts(calls=3)}
