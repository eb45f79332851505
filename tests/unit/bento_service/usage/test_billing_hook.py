"""Statements at the billing system of the platform: each until it is taken, signed, and by its own id."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import pytest

from bento_service.usage.billing_hook import BillingHook
from resources.base.errors import ConfigurationError
from resources.base.settings import Settings
from resources.billing.prices import read_prices
from resources.billing.statements import Month, find_statement, make_statement
from resources.billing.upkeep import UsageUpkeep
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake
from resources.webhooks.signing import new_secret, verify
from tests.unit.conftest import BLUE, GREEN

NOW = datetime(2025, 7, 1, 2, tzinfo=UTC)
SECRET = new_secret()


class Receiver(ThreadingHTTPServer):
    """A billing system: `statuses` are what it answers, the last one for good; `seen` has what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = [204]
        self.seen: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/statements"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.databases
def test_each_statement_is_told_until_it_is_taken(db: ControlDb, tmp_path: Path, receiver: Receiver) -> None:
    for tenant in (BLUE, GREEN):
        create_tenant(db, tenant, name=tenant.value, now=NOW - timedelta(days=40))
    times = [NOW]
    hook = BillingHook(receiver.url, SECRET, lambda: times[0])
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    prices = read_prices('{"currency": "EUR", "monthly": 5}')
    upkeep = UsageUpkeep(db, lake, prices, lambda: times[0], holder="w1", stop=Event(), tell=hook.tell)
    receiver.statuses = [500, 204]
    assert upkeep.run()
    assert len(receiver.seen) == 1  # green waits behind blue
    times[0] += timedelta(minutes=6)
    assert upkeep.run()
    times[0] += timedelta(hours=2)
    assert upkeep.run()
    names = [headers["webhook-id"] for headers, _ in receiver.seen]
    assert names == ["stm-blue-2025-06", "stm-blue-2025-06", "stm-green-2025-06"]
    headers, body = receiver.seen[-1]
    verify(headers, body, SECRET, now=times[0] - timedelta(hours=2))
    message = json.loads(body)
    with db.read() as session:
        made = find_statement(session, GREEN, Month(2025, 6))
    assert made is not None
    assert message["data"] == {**made.content, "sha256": made.hash} and message["tenant_id"] == "green"


def test_a_billing_system_that_is_away_takes_nothing(db: ControlDb, receiver: Receiver) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as gone:
        port = gone.server_port
    hook = BillingHook(f"http://127.0.0.1:{port}/", SECRET, lambda: NOW)
    create_tenant(db, BLUE, name="Blue", now=NOW)
    prices = read_prices('{"currency": "EUR"}')
    assert prices is not None
    with db.write() as session:
        made = make_statement(session, BLUE, Month(2025, 6), prices, now=NOW)
    assert not hook.tell(made)
    assert BillingHook(receiver.url, SECRET, lambda: NOW).tell(made)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64", "A" * 44])
def test_an_address_needs_a_secret(secret: str) -> None:
    settings = Settings(billing_webhook_url="https://billing.example.com", billing_webhook_secret=secret)
    with pytest.raises(ConfigurationError, match="RECSAAS_BILLING_WEBHOOK_SECRET"):
        BillingHook.of(settings, lambda: NOW)
    assert BillingHook.of(Settings(), lambda: NOW) is None
