"""Limits that hold one tenant, or a stranger, away from the others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from bento_service.access.limits import Buckets, Company, RateLimit, SlowRefusals, Strangers
from bento_service.app import create_app
from bento_service.http.errors import RateLimited
from bento_service.scheduling.threads import Lane
from resources.base.settings import RATE_PER_WORKER, Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.events.log import EventLog
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop

RECOMMEND = "/api/v1/recommendations"


def stopped(app: FastAPI) -> FastAPI:
    """The same app with clocks of its limits that stand still, so that no token comes back however slow the test is."""
    limits = app.state.services.limits
    limits.refusals._buckets = Buckets(1000.0, clock=lambda: 0.0)
    limits._tenants._clock = lambda: 0.0
    limits.strangers._buckets._clock = lambda: 0.0
    return app


def as_installed(settings: Settings) -> Settings:
    """The settings with the limit that nobody has set."""
    return settings.model_copy(update={"rate_limit": Settings.model_fields["rate_limit"].default})


@pytest.fixture
def still(settings: Settings, db: ControlDb, lake: Lake) -> Iterator[Client]:
    """A service with its defaults whose clocks stand still."""
    with client_of(stopped(create_app(as_installed(settings), db, lake, lambda: NOW))) as client:
        yield client


def test_what_costs_more_counts_more() -> None:
    async def run() -> None:
        limit = RateLimit("tenant", 10.0, clock=lambda: 0.0)
        assert (await limit.take("blue", 7)).remaining == 3
        with pytest.raises(RateLimited) as refused:
            await limit.take("blue", 4)
        assert refused.value.retry_after == 1
        assert (await limit.take("blue", 3)).remaining == 0
        assert (await limit.take("green", 500)).remaining == 0  # more than there can be: all there is
        assert (await limit.take("green", 1, strict=False)).remaining == 0

    asyncio.run(run())


def test_a_search_costs_more_than_an_answer_and_a_large_body_more_than_a_small_one(still: Client, blue: Shop) -> None:
    def left(answer: httpx.Response) -> int:
        return int(answer.headers["X-RateLimit-Remaining"])

    start = left(still.post(RECOMMEND, json={}, headers=blue.headers))
    assert start == RATE_PER_WORKER - 1
    after_answer = left(still.post(RECOMMEND, json={}, headers=blue.headers))
    after_search = left(still.get("/api/v1/items?q=e", headers=blue.headers))
    assert start - after_answer == 1
    assert after_answer - after_search >= 5
    events = {"events": [{"user_id": "u", "item_id": "i", "interaction_type": "view"}] * 500}
    after_events = left(still.post("/api/v1/interactions", json=events, headers=blue.headers))
    assert after_search - after_events >= 25


def test_a_tenant_alone_may_use_the_whole_worker_until_another_one_asks(still: Client, blue: Shop, green: Shop) -> None:
    def ask(shop: Shop) -> int:
        return still.post(RECOMMEND, json={}, headers=shop.headers).status_code

    assert {ask(blue) for _ in range(int(RATE_PER_WORKER) + 5)} == {200}
    assert ask(green) == 200
    assert ask(blue) == 429
    assert ask(green) == 200


def test_company_is_who_asked_in_the_last_seconds() -> None:
    now = 0.0
    company = Company(clock=lambda: now)
    assert not company.has("blue")
    assert not company.has("blue")
    assert company.has("green")
    now = 5.0
    assert company.has("blue")
    assert company.has("blue")
    now = 9.0
    assert company.has("blue")
    now = 10.5
    assert not company.has("blue")
    now = 11.0
    assert company.has("red")
    assert company.has("blue")


def test_guesses_at_keys_are_stopped_before_the_database_is_asked(still: Client, blue: Shop, app: FastAPI) -> None:
    asked = [still.post(RECOMMEND, json={}, headers={"Authorization": f"Bearer sk_live_{n}"}) for n in range(205)]
    codes = [each.status_code for each in asked]
    assert codes == [401] * 200 + [429] * 5
    assert asked[-1].json()["error"]["code"] == "rate_limited"
    assert "Your address" in asked[-1].json()["error"]["message"]
    assert int(asked[-1].headers["Retry-After"]) >= 1
    assert still.get("/docs").status_code == 429
    assert still.get("/api/v1/no-such-route").status_code == 404
    # The address showed a key that is valid, but is not known here yet: it has to wait.
    assert still.post(RECOMMEND, json={}, headers=blue.headers).status_code == 429


def test_a_key_that_is_in_use_is_not_stopped_by_guesses_from_its_address(still: Client, blue: Shop) -> None:
    assert still.post(RECOMMEND, json={}, headers=blue.headers).status_code == 200
    for n in range(205):
        still.post(RECOMMEND, json={}, headers={"Authorization": f"Bearer sk_live_{n}"})
    assert still.post(RECOMMEND, json={}, headers=blue.headers).status_code == 200


def test_pages_that_anybody_may_see_are_counted_by_address_and_the_dear_ones_more(still: Client) -> None:
    codes = [still.get("/openapi.json").status_code for _ in range(205)]
    assert codes == [200] * 200 + [429] * 5
    assert still.get("/metrics").status_code == 429
    assert still.get("/health").status_code == 429
    assert still.get("/no-such-page").status_code == 429


def test_metrics_cost_more_than_a_page(still: Client) -> None:
    assert [still.get("/metrics").status_code for _ in range(41)] == [200] * 40 + [429]


def test_valid_keys_are_given_back_to_their_address() -> None:
    strangers = Strangers(1.0, clock=lambda: 0.0)
    for _ in range(50):
        strangers.take("192.0.2.1")
        strangers.give_back("192.0.2.1")
    strangers.take("192.0.2.1", 4)
    with pytest.raises(RateLimited):
        strangers.take("192.0.2.1")
    strangers.take("192.0.2.2")
    strangers.take("192.0.2.3", 5)  # more than there ever is: /metrics where few answers are allowed
    with pytest.raises(RateLimited):
        strangers.take("192.0.2.3", 5)
    Strangers(0.0).take("192.0.2.1")


def test_refusals_that_wait_go_out_one_behind_the_other_and_none_waits_long() -> None:
    refusals = SlowRefusals(clock=lambda: 100.0)
    waits = [refusals.seconds("a") for _ in range(920)][20:]
    assert waits[:150] == pytest.approx([1 + each / 50 for each in range(150)])
    assert max(waits) <= 4.0
    together = max(sum(start <= each < start + 0.0999 for each in waits) for start in (1.0, 2.0, 3.0))
    assert together <= 36  # of 900, in a tenth of a second


def test_who_is_refused_again_and_again_waits_for_it_and_takes_no_place_meanwhile(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    refusals = SlowRefusals(clock=lambda: now)
    assert [refusals.seconds("a") for _ in range(22)] == [0.0] * 20 + [1.0, 1.02]
    assert refusals.seconds("b") == 0.0
    now = 0.1
    assert [refusals.seconds("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    app = stopped(create_app(settings.model_copy(update={"rate_limit": 1.0}), db, lake, lambda: NOW))
    limits = app.state.services.limits
    limits.refusals._buckets = Buckets(1.0, clock=lambda: 0.0)
    slept: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, limits.concurrency.in_flight))

    monkeypatch.setattr("bento_service.middleware.asyncio.sleep", sleep)
    with client_of(app) as client:
        codes = [client.post(RECOMMEND, json={}, headers=blue.headers).status_code for _ in range(4)]
    assert codes == [200, 429, 429, 429]
    assert slept == [(pytest.approx(1.0, abs=0.021), 0)] * 2
    assert limits.concurrency.in_flight == 0


@contextmanager
def write_lock(db: ControlDb) -> Iterator[None]:
    """Another connection holds the write lock of the control DB."""
    holder = sqlite3.connect(db.engine.url.database or "", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@pytest.mark.e2e
def test_beside_a_write_lock_reads_answer_and_writes_are_told_to_come_back(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, green: Shop
) -> None:
    impatient = open_control_db(settings.database_url, migrate=False, busy_seconds=0.5)
    app = create_app(settings.model_copy(update={"rate_limit": 0.0}), impatient, lake, lambda: NOW)
    app.state.services.threads.writes = Lane(4, wait_seconds=60)
    event = {"user_id": "u", "item_id": "i", "interaction_type": "view"}
    with client_of(app) as client:

        async def flood() -> list[httpx.Response]:
            """More writes at once than there are threads, then a read of another tenant while they wait."""
            http = client._http
            writes = []
            for n in range(45):
                body = {"item_id": f"x{n}", "title": "X"}
                writes.append(http.post("/api/v1/items", json=body, headers=blue.headers, timeout=60))
            writes += [http.post("/api/v1/interactions", json=event, headers=blue.headers) for _ in range(5)]
            tasks = [asyncio.ensure_future(each) for each in writes]
            while app.state.services.threads.writes._free:
                await asyncio.sleep(0.01)
            read = await http.post(RECOMMEND, json={}, headers=green.headers)
            waiting = [task for task in tasks if not task.done()]
            assert len(waiting) > 3, "the read had to wait for the writes"
            return [read, *await asyncio.gather(*tasks)]

        # What the first one imports is imported once, before threads of this test import it together.
        assert (
            client.post("/api/v1/items", json={"item_id": "x", "title": "X"}, headers=blue.headers).status_code == 200
        )
        with write_lock(db):
            read, *written = client.run(flood)
        assert read.status_code == 200
        assert {answer.status_code for answer in written} == {503}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in written)
        assert {answer.json()["error"]["code"] for answer in written} <= {"control_db_unavailable", "busy"}
        assert EventLog(db).last_seq(blue.tenant) == 0
        again = client.post("/api/v1/interactions", json=event, headers=blue.headers)
        assert again.status_code == 200
        assert EventLog(db).last_seq(blue.tenant) > 0
    impatient.close()
