"""Requests a second, and requests at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bento_service.access.limits import RateLimit
from bento_service.app import create_app
from bento_service.http.errors import Busy, RateLimited
from bento_service.scheduling.concurrency import Concurrency
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop


@pytest.fixture
def limited(settings: Settings, db: ControlDb, lake: Lake) -> Iterator[Client]:
    """A service that lets three requests a second of a tenant through, and two with one key; its second never ends."""
    changed = settings.model_copy(update={"rate_limit": 3.0, "key_rate_limit": 2.0})
    app = create_app(changed, db, lake, lambda: NOW)
    for limit in (app.state.services.limits._tenants, app.state.services.limits._keys):
        limit._clock = lambda: 0.0
    with client_of(app) as client:
        yield client


def taken(limit: RateLimit, name: str, times: int) -> list[int]:
    """How many are left after each request that was let through."""
    left = []
    for _ in range(times):
        try:
            left.append(asyncio.run(limit.take(name)).remaining)
        except RateLimited:
            break
    return left


def test_tokens_come_back_with_time() -> None:
    now = 0.0
    limit = RateLimit("tenant", 4.0, clock=lambda: now)
    assert taken(limit, "blue", 9) == [3, 2, 1, 0]
    assert taken(limit, "green", 1) == [3]
    now = 0.25
    assert taken(limit, "blue", 9) == [0]
    now = 100.0
    assert taken(limit, "blue", 9) == [3, 2, 1, 0]
    now = 50.0  # a clock that goes back gives nothing, and takes nothing
    assert taken(limit, "blue", 9) == []


def test_a_refusal_says_when_to_come_back() -> None:
    limit = RateLimit("tenant", 0.2, clock=lambda: 0.0)
    asyncio.run(limit.take("blue"))
    with pytest.raises(RateLimited, match=r"0\.2 requests a second. Wait 5 s") as refused:
        asyncio.run(limit.take("blue"))
    assert refused.value.retry_after == 5


def test_without_a_shared_store_every_worker_has_its_share() -> None:
    limit = RateLimit("tenant", 8.0, workers=4, clock=lambda: 0.0)
    assert taken(limit, "blue", 9) == [1, 0]


def test_a_limited_tenant_is_told_in_every_answer(limited: Client, blue: Shop, green: Shop) -> None:
    def ask(headers: dict[str, str], **body: Any) -> httpx.Response:
        return limited.post("/api/v1/recommendations", json=body, headers=headers)

    first = ask(blue.headers)
    assert first.status_code == 200
    assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
    assert first.headers["X-RateLimit-Reset"] == "1"
    wrong = ask(blue.headers, count=0)
    assert (wrong.status_code, wrong.headers["X-RateLimit-Remaining"]) == (422, "0")
    refused = ask(blue.headers)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limited"
    assert "API key may send 2 requests a second" in refused.json()["error"]["message"]
    assert (refused.headers["Retry-After"], refused.headers["X-RateLimit-Remaining"]) == ("1", "0")
    other_key = blue.key_with("recommendations:read")
    assert ask(other_key).status_code == 200
    assert "tenant may send 3 requests a second" in ask(other_key).json()["error"]["message"]
    assert ask(green.headers).status_code == 200
    assert "X-RateLimit-Limit" not in ask({}).headers


def test_without_a_limit_no_header_claims_one(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    unlimited = settings.model_copy(update={"rate_limit": 0.0})
    with client_of(create_app(unlimited, db, lake, lambda: NOW)) as client:
        answer = client.post("/api/v1/recommendations", json={}, headers=blue.headers)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_one_tenant_may_hold_half_of_a_worker() -> None:
    concurrency = Concurrency(4)
    assert [concurrency.enter() for _ in range(5)] == [True] * 4 + [False]
    concurrency.hold("blue")
    concurrency.hold("blue")
    with pytest.raises(Busy, match="2 requests in flight"):
        concurrency.hold("blue")
    concurrency.hold("green")
    concurrency.let_go("blue")
    concurrency.leave()
    concurrency.hold("blue")
    assert concurrency.enter()
    assert concurrency.in_flight == 4


def test_a_full_worker_says_so_and_still_tells_how_it_is(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    app = create_app(settings.model_copy(update={"max_concurrency": 2}), db, lake, lambda: NOW)
    limits = app.state.services.limits.concurrency
    with client_of(app) as client:
        ask = lambda: client.post("/api/v1/recommendations", json={}, headers=blue.headers)  # noqa: E731
        assert ask().status_code == 200
        limits.enter()
        limits.enter()
        full = ask()
        assert (full.status_code, full.json()["error"]["code"], full.headers["Retry-After"]) == (503, "busy", "1")
        assert full.json()["error"]["request_id"] == full.headers["X-Request-ID"]
        assert client.get("/health", headers=blue.headers).status_code == 200
        assert client.get("/metrics").status_code == 200
        limits.leave()
        limits.hold("blue")
        mine = ask()
        assert (mine.status_code, mine.headers["Retry-After"]) == (503, "1")
        assert "This tenant has 1 requests in flight" in mine.json()["error"]["message"]
        limits.let_go("blue")
        assert ask().status_code == 200
        assert limits.in_flight == 1
