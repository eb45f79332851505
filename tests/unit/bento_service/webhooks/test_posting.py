"""Posting webhooks to a real receiver on this machine, and refusing to post into a private network."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

import bento_service.webhooks.posting as posting
from bento_service.telemetry.metrics import Metrics
from bento_service.webhooks.addresses import is_public
from bento_service.webhooks.posting import body_of, new_client, post
from bento_service.webhooks.sender import WebhookSender
from resources.access.actor import Actor
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.webhooks.announcing import announce
from resources.webhooks.endpoints.deliveries import DueDelivery, Try, list_deliveries
from resources.webhooks.endpoints.endpoint import WebhookDraft
from resources.webhooks.endpoints.store import add_webhook
from resources.webhooks.signing import new_secret, verify
from tests.unit.conftest import BLUE

BY = Actor(kind="key", id="k1", name="web", source="api")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = 60.0
DUE = DueDelivery(
    id="dlv-1",
    tenant=TenantId("blue"),
    webhook_id="whk-1",
    event_id="evt-1",
    type="release.live",
    data={"version": "ü"},
    announced_at=NOW,
    url="https://shop.example.com/hook",
    secrets=(new_secret(),),
    attempts=1,
)


@dataclass
class Receiver:
    """What came in, and what is answered: statuses in turn, the last one for good."""

    statuses: list[int] = field(default_factory=lambda: [204])
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hold: threading.Event | None = None
    port: int = 0

    def url(self, path: str = "/hook?a=1") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if state.hold is not None:
                state.hold.wait(DEADLINE)
            self.send_response(state.statuses.pop(0) if len(state.statuses) > 1 else state.statuses[0])
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.hold is not None:
            state.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def posted(due: DueDelivery, *, private: bool = True) -> Try:
    async def go() -> Try:
        async with new_client() as client:
            return await post(client, due, now=NOW, private=private)

    return asyncio.run(go())


def test_a_message_arrives_whole_and_signed() -> None:
    with receiver() as shop:
        result = posted(replace(DUE, url=shop.url()))
        ((path, headers, body),) = shop.seen
    assert (result.status, result.error, result.worked) == (204, None, True)
    assert path == "/hook?a=1" and headers["host"] == f"127.0.0.1:{shop.port}"
    assert json.loads(body) == {
        "type": "release.live",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "tenant_id": "blue",
        "data": {"version": "ü"},
    }
    verify(headers, body, DUE.secrets[0], now=NOW)
    assert headers["webhook-id"] == "evt-1" and body == body_of(DUE)


@pytest.mark.parametrize("status", [301, 307, 404, 500])
def test_anything_but_a_success_is_a_failed_try(status: int) -> None:
    with receiver() as shop:
        shop.statuses = [status]
        result = posted(replace(DUE, url=shop.url()))
    assert (result.status, result.worked) == (status, False) and str(status) in (result.error or "")
    assert len(shop.seen) == 1  # no redirect is followed


def test_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TRY_SECONDS", 0.2)
    with receiver() as shop:
        shop.hold = threading.Event()
        result = posted(replace(DUE, url=shop.url()))
    assert result.status is None and "within" in (result.error or "")


def test_an_endpoint_where_nobody_listens() -> None:
    with receiver() as shop:
        url = shop.url()
    result = posted(replace(DUE, url=url))
    assert result.status is None and "ConnectError" in (result.error or "")


@pytest.mark.parametrize(
    "url",
    [
        *("https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/latest/meta-data"),
        *("https://10.0.0.1/", "https://[::ffff:127.0.0.1]/", "http://93.184.216.34/", "https://0.0.0.0/"),
        *("https://2130706433/", "https://0x7f.1/"),
    ],
)
def test_nothing_is_posted_into_a_private_network(url: str) -> None:
    result = posted(replace(DUE, url=url), private=False)
    assert result.status is None and ("internet" in (result.error or "") or "https://" in (result.error or ""))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(("93.184.216.34", True), ("2606:4700::1111", True), ("192.168.1.1", False), ("100.64.0.1", False)),
        *(("224.0.0.1", False), ("fe80::1", False), ("fd00::1", False), ("2002:7f00:1::", False), ("::", False)),
        *(("64:ff9b::a00:1", False), ("64:ff9b::7f00:1", False), ("64:ff9b::5db8:d822", True), ("::a00:1", False)),
        *(("::5db8:d822", False), ("::ffff:10.0.0.1", False), ("::ffff:93.184.216.34", True)),
    ],
)
def test_which_addresses_are_of_the_internet(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def test_the_sender_delivers_what_is_announced_and_tries_again(db: ControlDb, shops: object, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, webhook_private=True)
    sender = WebhookSender(settings, db, lambda: datetime.now(UTC), Metrics())
    with receiver() as shop:
        shop.statuses = [500, 200]
        draft = WebhookDraft(url=shop.url())
        webhook, secret = add_webhook(db, BLUE, draft, by=BY, now=datetime.now(UTC), plain_http=True)
        sender.start()
        try:
            with db.write() as session:
                announce(session, BLUE, "release.live", {"version": "v1"}, now=datetime.now(UTC))
            deadline = time.monotonic() + DEADLINE
            while not (found := list_deliveries(db, BLUE, webhook.id, limit=1)) or found[0].status != "delivered":
                assert time.monotonic() < deadline
                sender.wake()
                time.sleep(0.05)
        finally:
            sender.stop()
    assert found[0].attempts == 2 and found[0].answer_status == 200
    (_, first, body), (_, second, again) = shop.seen
    assert body == again and first["webhook-id"] == second["webhook-id"]
    verify(second, again, secret, now=datetime.now(UTC))
