"""A service whose database server stands still: nobody waits long, the event loop never, and all goes on afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.postgresql.server import PostgresServer
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop, open_shop

pytestmark = [pytest.mark.postgresql, pytest.mark.e2e]
BUSY_SECONDS = 0.1


@pytest.fixture
def served(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[tuple[Client, Shop]]:
    name = postgres_server.database()
    settings = Settings(home=tmp_path, database=postgres_server.url(name), pointer_check_seconds=0, rate_limit=100_000)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    patient = open_control_db(settings.database_url)
    shop = open_shop("blue", lake=lake, db=patient, prefix="b")
    shop.release()
    db = open_control_db(settings.database_url, migrate=False, busy_seconds=BUSY_SECONDS)
    app = create_app(settings, db, lake, lambda: NOW)
    with client_of(app) as client:
        yield client, shop
    app.state.services.decisions.close()
    app.state.services.contexts.close()
    for each in (patient, db):
        each.close()
    postgres_server.drop(name)


def test_who_asks_is_told_and_the_loop_turns(served: tuple[Client, Shop], postgres_server: PostgresServer) -> None:
    client, shop = served
    ask = {"url": "/api/v1/recommendations", "json": {"user_id": "b1"}, "headers": shop.headers}
    tell = {
        "url": "/api/v1/interactions",
        "json": {"user_id": "b1", "item_id": "b2", "interaction_type": "view", "event_id": "e"},
        "headers": shop.headers,
    }
    assert client.post(**ask).status_code == 200

    async def longest_turn() -> float:
        longest = 0.0
        until = time.monotonic() + 1
        while time.monotonic() < until:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
        return longest

    with postgres_server.hung():
        began = time.monotonic()
        refused = [client.post(**ask), client.post(**tell)]
        assert time.monotonic() - began < 30
        assert [each.status_code for each in refused] == [503, 503]
        assert {each.json()["error"]["code"] for each in refused} == {"control_db_unavailable"}
        assert client.run(longest_turn) < 1
        assert client.get("/livez").status_code in (200, 404)
    assert client.post(**ask).status_code == 200
    assert client.post(**tell).json()["duplicate"] is False, "nothing was stored, as was said"


def test_a_server_that_was_started_again_is_asked_again(
    served: tuple[Client, Shop], postgres_server: PostgresServer
) -> None:
    client, shop = served
    ask = {"url": "/api/v1/recommendations", "json": {"user_id": "b1"}, "headers": shop.headers}
    assert client.post(**ask).status_code == 200
    postgres_server.stop(at_once=True)
    try:
        assert client.post(**ask).status_code == 503
    finally:
        postgres_server.start()
    assert client.post(**ask).status_code == 200
