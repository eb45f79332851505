"""From signing up to a revoked key, by one person and the one they invite, over HTTP alone, on both databases."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email import message_from_bytes
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from recsaas_assets.benchmarks.serving.serve_process import service
from recsaas_assets.benchmarks.workplace import Workplace
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake
from tests.postgresql.server import PostgresServer
from tests.unit.bento_service.shop import NOW, contents, draft

pytestmark = pytest.mark.e2e
PASSWORD, OTHER = "correct horse battery staple", "another long sentence of words"
SECONDS = 60.0
REVOKED_SECONDS = 5.0
"""Within so much of being revoked a key opens nothing any more, on every worker."""
BUSY_MACHINE_SECONDS = 5.0
"""By so much more an answer may be late on a machine that others use as well."""
CONNECTIONS = 16
"""So many at once are with both workers, but for one time in 32,768."""
LINK = re.compile(r"https?://\S+/(verify|invite|reset)/(\S+)")


class Postbox:
    """The mail server of the test, and what has come in."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content))
        return "250 OK"

    def token(self, to: str, kind: str) -> str:
        """The token of the newest link of a kind that was mailed to somebody; it may be on its way."""

        def newest() -> str | None:
            for mail in reversed(self.mails):
                body = mail.get_payload(decode=True)
                assert isinstance(body, bytes)
                found = LINK.search(body.decode())
                if mail["To"] == to and found is not None and found[1] == kind:
                    return found[2]
            return None

        return eventually(newest)


def eventually(ask: Callable[[], Any]) -> Any:
    """What `ask` returns as soon as it is something."""
    deadline = time.monotonic() + SECONDS
    while not (found := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@contextmanager
def post_office() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"smtp://127.0.0.1:{port}/?from=recsaas@example.com"
    finally:
        controller.stop()


def made(answer: httpx.Response) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty control DB of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.database(prefix="person"))


def test_a_person_from_signing_up_to_a_revoked_key(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database=database_url)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    with post_office() as (box, smtp):
        variables = {"RECSAAS_SMTP_URL": smtp, "RECSAAS_DATABASE": database_url, "RECSAAS_SIGNUP": "open"}
        with (
            service(Workplace(settings, lake, db), workers=2, variables=variables) as server,
            httpx.Client(base_url=server.url, timeout=30) as http,
        ):
            _journey(http, box, lake)
    db.close()


def _journey(http: httpx.Client, box: Postbox, lake: Lake) -> None:
    shop = {"name": "Lamps & more", "slug": "lamps", "currency": "EUR", "timezone": "Europe/Berlin"}
    owner = made(
        http.post("/api/v1/auth/signup", json={"email": "ann@example.com", "password": PASSWORD, "tenant": shop})
    )
    assert owner["expires_in"] == 900
    made(http.post("/api/v1/auth/verify", json={"token": box.token("ann@example.com", "verify")}))
    as_owner = bearer(owner["access_token"])
    assert made(http.get("/api/v1/auth/me", headers=as_owner))["user"]["email"] == "ann@example.com"
    made(http.post("/api/v1/invites", json={"email": "ben@example.com", "role": "admin"}, headers=as_owner))
    token = box.token("ben@example.com", "invite")
    made(http.post(f"/api/v1/invites/token/{token}/accept", json={"name": "Ben", "password": OTHER}))
    assert http.post("/api/v1/auth/login", json={"email": "ben@example.com", "password": PASSWORD}).status_code == 401
    admin = made(http.post("/api/v1/auth/login", json={"email": "ben@example.com", "password": OTHER}))
    as_admin = bearer(admin["access_token"])
    key = made(
        http.post(
            "/api/v1/api-keys",
            json={"name": "web", "scopes": ["recommendations:read", "interactions:write"]},
            headers=as_admin,
        )
    )
    _release(lake, TenantId("lamps"))
    as_key = bearer(key["api_key"])
    for number in range(20):
        answer = made(http.post("/api/v1/recommendations", json={"user_id": f"u{number}", "count": 2}, headers=as_key))
        assert len(answer["recommendations"]) == 2
    event = {"user_id": "u1", "item_id": "l1", "interaction_type": "view"}
    made(http.post("/api/v1/interactions", json=event, headers=as_key))

    def counted() -> Any:
        usage = made(http.get("/api/v1/usage", params={"group": "operation"}, headers=as_admin))
        return any(row["calls"] == 20 and "recommend" in row["operation"] for row in usage["usage"])

    eventually(counted)
    _revoke(http, key["id"], as_key, as_admin)
    trail = made(http.get("/api/v1/audit", headers=as_owner))
    assert {"key.create", "key.revoke"} <= {entry["action"] for entry in trail["entries"]}


def _revoke(http: httpx.Client, key_id: str, as_key: dict[str, str], as_admin: dict[str, str]) -> None:
    """Revoke a key that every worker knows, and see that each of them soon knows it no more."""

    def status(connection: httpx.Client) -> int:
        return connection.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=as_key).status_code

    def is_refused(connection: httpx.Client) -> bool:
        return status(connection) == 401

    with ExitStack() as stack:
        connections = [
            stack.enter_context(httpx.Client(base_url=http.base_url, timeout=30)) for _ in range(CONNECTIONS)
        ]
        assert {status(each) for each in connections} == {200}
        revoking = time.monotonic()
        made(http.delete(f"/api/v1/api-keys/{key_id}", headers=as_admin))
        for each in connections:
            eventually(partial(is_refused, each))
        assert time.monotonic() - revoking < REVOKED_SECONDS + BUSY_MACHINE_SECONDS


def _release(lake: Lake, tenant: TenantId) -> None:
    store = ReleaseStore(lake.tenant(tenant))
    version = new_version(NOW, "00000001")
    store.write(version, contents("l"), draft(tenant, ()))
    store.promote(version, NOW, "test")
