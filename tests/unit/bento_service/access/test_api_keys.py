"""Keys over HTTP: ends, rotation, bindings to addresses and pages, sandboxes, and when they were used last."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from bento_service.access.key_bindings import SANDBOX_ROUTES
from bento_service.access.key_cache import KeyCache
from bento_service.access.key_worker import KeyWorker
from bento_service.app import create_app
from bento_service.http.client_address import ClientAddress
from bento_service.scheduling.threads import Threads
from resources.access.actor import SYSTEM, Actor
from resources.access.key_kinds import BROWSER_SCOPES, KeyKind, KeyTerms
from resources.access.scopes import PLATFORM, SCOPES
from resources.base.settings import Settings
from resources.control_db.api_keys import list_api_keys, make_api_key, revoke_api_key
from resources.control_db.engine import ControlDb
from resources.decisions.store import open_decisions
from resources.events.log import EventLog
from resources.keys.changes import change_api_key, rotate_api_key
from resources.storage.lake import Lake
from tests.permission_table import needs_of_routes
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop

KEYS = "/api/v1/api-keys"
ASK = "/api/v1/recommendations"
PAGE = "https://shop.example.com"
COMMAND = Actor(kind="command", id="root", name="root", source="command")
EVENT = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}


def made(shop: Shop, **terms: Any) -> str:
    given = KeyTerms(**{"name": "x", "scopes": SCOPES, **terms})
    return str(make_api_key(shop.db, shop.tenant, given, now=NOW, by=SYSTEM).secret)


def bearer(secret: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", **headers}


def page_key(shop: Shop) -> str:
    return made(shop, kind="browser", scopes=BROWSER_SCOPES, origins=(PAGE,))


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def forget(app: FastAPI) -> None:
    """Let the time pass for which a key is believed."""
    app.state.services.keys._keys.clear()


@pytest.mark.parametrize(("kind", "begins"), [("secret", "sk_live_"), ("browser", "pk_live_"), ("sandbox", "sk_test_")])
def test_a_key_is_made_changed_rotated_and_shown(client: Client, blue: Shop, kind: KeyKind, begins: str) -> None:
    body: dict[str, Any] = {
        "name": "k",
        "scopes": [*BROWSER_SCOPES],
        "kind": kind,
        "expires_at": "2024-12-01T00:00:00Z",
    }
    body |= {"origins": [PAGE]} if kind == "browser" else {"addresses": ["203.0.113.0/24"]}
    answer = client.post(KEYS, json=body, headers=blue.headers)
    key = answer.json()
    assert (answer.status_code, key["kind"], key["api_key"][:8], key["status"]) == (201, kind, begins, "active")
    assert key["made_by"] == "all"
    at = f"{KEYS}/{key['id']}"
    changed = client.request("PATCH", at, json={"name": "n", "expires_at": None}, headers=blue.headers).json()
    assert (changed["name"], changed["expires_at"]) == ("n", None)
    rotated = client.post(f"{at}/rotate", json={"overlap_seconds": 0}, headers=blue.headers)
    assert (rotated.status_code, rotated.headers["cache-control"]) == (201, "no-store")
    assert rotated.json()["api_key"].startswith(begins)
    shown = {each["id"]: each for each in client.get(KEYS, headers=blue.headers).json()["api_keys"]}
    assert (shown[key["id"]]["status"], shown[key["id"]]["rotated_to"]) == ("expired", rotated.json()["id"])
    assert "api_key" not in shown[key["id"]]
    assert code_of(client.post(f"{at}/rotate", json={"overlap_seconds": 5}, headers=blue.headers))[0] == 422


def test_a_retry_makes_no_second_key(client: Client, blue: Shop) -> None:
    headers = {**blue.headers, "Idempotency-Key": "once"}
    body = {"name": "k", "scopes": ["items:write"]}
    first, again = (client.post(KEYS, json=body, headers=headers).json() for _ in range(2))
    assert (first["id"], again["api_key"]) == (again["id"], None)
    assert code_of(client.post(KEYS, json={**body, "name": "other"}, headers=headers)) == (409, "conflict")


def test_a_key_is_not_believed_beyond_its_end(blue: Shop) -> None:
    ticks, moment = 100.0, NOW
    cache = KeyCache(blue.db, Threads().keys, now=lambda: moment, clock=lambda: ticks)
    secret = made(blue, expires_at=NOW + timedelta(seconds=1))

    async def ask() -> bool:
        return await cache.find(secret) is not None

    assert asyncio.run(ask())
    ticks += 0.9
    moment += timedelta(seconds=0.9)
    assert cache.fresh(secret) is not None
    ticks += 0.1
    moment += timedelta(seconds=0.1)
    assert cache.fresh(secret) is None  # long before it would be looked up again
    assert not asyncio.run(ask())


def test_a_key_is_only_good_from_its_addresses(client: Client, app: FastAPI, blue: Shop) -> None:
    elsewhere = made(blue, addresses=("203.0.113.0/24",))
    here = made(blue, addresses=("127.0.0.0/8", "::1"))
    refused = client.post(ASK, json={}, headers=bearer(elsewhere))
    assert code_of(refused) == (403, "address_not_allowed")
    assert "127.0.0.1" in refused.json()["error"]["message"]
    assert client.post(ASK, json={}, headers=bearer(here)).status_code == 200
    # What a client says of itself counts for nothing without a trusted proxy.
    told = bearer(elsewhere, **{"X-Forwarded-For": "203.0.113.5"})
    assert code_of(client.post(ASK, json={}, headers=told)) == (403, "address_not_allowed")
    (own,) = (key for key in list_api_keys(blue.db, blue.tenant) if key.name == "all")
    locked_out = client.request("PATCH", f"{KEYS}/{own.id}", json={"addresses": ["203.0.113.1"]}, headers=blue.headers)
    assert code_of(locked_out) == (409, "conflict")


def test_an_address_of_ipv6_is_compared_as_a_whole() -> None:
    scope = {"client": ("2001:db8::7", 1), "headers": []}
    assert ClientAddress().exact(scope) == "2001:db8::7"
    assert ClientAddress().of(scope) == "2001:db8::"
    assert ClientAddress().exact({"headers": []}) == "unknown"
    behind = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"203.0.113.5, 10.0.0.2")]}
    assert ClientAddress(("10.0.0.0/8",)).exact(behind) == "203.0.113.5"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": PAGE}, True),
        ({"Referer": f"{PAGE}/lamps?page=2"}, True),  # of a GET of its own origin browsers send no Origin
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": f"{PAGE}.evil.example"}, False),
        ({"Origin": "http://shop.example.com"}, False),
        ({"Origin": f"{PAGE}:8443"}, False),
        ({"Origin": "https://evil.example", "Referer": f"{PAGE}/"}, False),
        ({"Referer": "https://evil.example/https://shop.example.com"}, False),
        ({"Referer": "https://shop.example.com@evil.example/"}, False),
        ({"Origin": "http://[::1"}, False),
        ({"Origin": "http://service"}, False),  # pages of the service itself need the origin `self`
    ],
)
def test_a_browser_key_is_only_good_in_its_pages(
    client: Client, blue: Shop, headers: dict[str, str], allowed: bool
) -> None:
    answer = client.post(ASK, json={"user_id": "u1"}, headers=bearer(page_key(blue), **headers))
    if allowed:
        assert answer.status_code == 200
    else:
        assert code_of(answer) == (403, "origin_not_allowed")


def test_pages_of_a_browser_key_are_let_through_by_cors_on_the_api_alone(
    client: Client, app: FastAPI, blue: Shop
) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in client.request("OPTIONS", ASK, headers=asked).headers
    key = page_key(blue)
    app.state.services.page_origins._read_at -= 60
    allowed = client.request("OPTIONS", ASK, headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    other = client.request("OPTIONS", ASK, headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    answer = client.post(ASK, json={}, headers=bearer(key, Origin=PAGE))
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert "access-control-allow-credentials" not in answer.headers
    for path in ("/shop", "/docs", "/login"):
        assert "access-control-allow-origin" not in client.get(path, headers={"Origin": PAGE}).headers


def test_pages_use_up_what_pages_may_send_and_nothing_of_the_servers(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    limited = settings.model_copy(update={"page_rate_limit": 0.5, "rate_limit": 5.0})
    with client_of(create_app(limited, db, lake, lambda: NOW)) as client:
        headers = bearer(page_key(blue), Origin=PAGE)
        statuses = [client.post(ASK, json={}, headers=headers).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        refused = client.post(ASK, json={}, headers=headers)
        assert code_of(refused) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.post(ASK, json={}, headers=blue.headers).headers["x-ratelimit-remaining"] == "4"


def test_a_sandbox_reads_as_live_and_changes_nothing(client: Client, app: FastAPI, blue: Shop) -> None:
    sandbox = bearer(made(blue, kind="sandbox"))
    assert client.post("/api/v1/items", json={"item_id": "live", "title": "L"}, headers=blue.headers).status_code == 200
    before = client.post(ASK, json={"user_id": "u1"}, headers=blue.headers).json()["recommendations"]
    answer = client.post(ASK, json={"user_id": "u1"}, headers=sandbox)
    assert answer.json()["recommendations"] == before
    assert answer.headers["x-recsaas-sandbox"] == "true"
    receipt = client.get(f"{ASK}/{answer.json()['recommendation_id']}/receipt", headers=sandbox)
    assert (receipt.status_code, receipt.json()["kind"]) == (200, "sandbox")
    tracked = client.post("/events", json=EVENT, headers=sandbox).json()
    assert (tracked["status"], tracked["duplicate"]) == ("tracked", False) and tracked["interaction_id"]
    each = client.post("/events?partial=true", json={"events": [EVENT, {}]}, headers=sandbox).json()
    assert (each["tracked"], each["rejected"]) == (1, 1)
    wrong = client.post("/events", json={**EVENT, "interaction_type": "nonsense"}, headers=sandbox)
    assert code_of(wrong) == (422, "invalid_request")
    item = {"item_id": "b1", "title": "Changed", "price": 1.0}
    assert client.post("/api/v1/items", json=item, headers=sandbox).json()["items"] == 1
    patched = client.request("PATCH", "/api/v1/items/live", json={"price": 2.5}, headers=sandbox)
    assert (patched.status_code, patched.json()["price"], patched.json()["title"]) == (200, 2.5, "L")
    assert client.request("DELETE", "/api/v1/items/live", headers=sandbox).status_code == 200
    rows = "item_id,title\nfile-1,From a file\n"
    report = client.post("/api/v1/upload/items", files={"file": ("x.csv", rows)}, headers=sandbox).json()
    assert (report["validate_only"], report["rows_accepted"]) == (True, 1)
    shown = client.get("/api/v1/items/live", headers=blue.headers).json()
    assert (shown["price"], shown["title"]) == (None, "L")
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []
    assert EventLog(blue.db).export_after(blue.tenant).height == 0
    after = client.post(ASK, json={"user_id": "u1"}, headers=blue.headers).json()["recommendations"]
    assert after == before
    app.state.services.decisions.flush()
    store = open_decisions(app.state.services.settings.decisions_url)
    counted = [decision.kind for block in store.of_tenant(blue.tenant) for decision in block]
    assert counted == ["recommend", "recommend"]
    store.engine.dispose()


def test_a_sandbox_is_refused_wherever_something_would_change(client: Client, blue: Shop) -> None:
    sandbox = bearer(made(blue, kind="sandbox"))
    tried = 0
    for route, needs in needs_of_routes().items():
        method, template = route.split()
        if method == "GET" or (method, template) in SANDBOX_ROUTES or needs is None or needs.office:
            continue
        path = re.sub(r"{\w+}", "no-such-thing", template)
        answer = client.request(method, path, headers=sandbox, json={})
        assert answer.status_code in (401, 403), (route, answer.text)
        tried += answer.json()["error"]["code"] == "sandbox_key"
    assert tried > 15


def test_the_last_use_is_stored_once_a_minute_beside_the_answers(
    client: Client, app: FastAPI, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker: KeyWorker = app.state.services.key_worker
    tick = 1000.0
    monkeypatch.setattr("bento_service.access.key_worker.monotonic", lambda: tick)

    def stored() -> list[tuple[datetime | None, str | None]]:
        return [(key.last_used_at, key.last_route) for key in list_api_keys(blue.db, blue.tenant)]

    client.post(ASK, json={}, headers=blue.headers)
    assert stored() == [(None, None)]
    assert (worker.write(), worker.write()) == (1, 0)
    ((first, route),) = stored()
    assert route == f"POST {ASK}"
    assert first is not None and abs(first - datetime.now(UTC)) < timedelta(minutes=5)
    client.get("/recommend/u1", headers=blue.headers)
    tick += 59
    assert worker.write() == 0
    tick += 1
    assert worker.write() == 1
    assert stored()[0][1] == "GET /recommend/{user_id}"
    shown = client.get(KEYS, headers=blue.headers).json()["api_keys"][0]
    assert shown["last_route"] == "GET /recommend/{user_id}"


def test_what_could_not_be_stored_is_stored_later(blue: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = KeyWorker(blue.db, lambda: NOW)
    (key,) = list_api_keys(blue.db, blue.tenant)
    worker.note(key.id, "GET", "/a")

    def fails(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("bento_service.access.key_worker.write_uses", fails)
        with pytest.raises(TimeoutError):
            worker.write()
    assert worker.write() == 1


@pytest.mark.databases
@pytest.mark.parametrize("who", ["admin key", "owner"])
def test_a_tenant_has_no_hold_on_a_key_of_the_platform(client: Client, blue: Shop, who: str) -> None:
    terms = KeyTerms(name="ops", scopes=(PLATFORM,))
    key = make_api_key(blue.db, blue.tenant, terms, now=NOW, by=COMMAND).key
    headers = bearer(made(blue, scopes=("admin",)))
    if who == "owner":
        headers = person(blue.db, "owner@example.com", now=NOW, tenant=blue.tenant).headers
    at = f"{KEYS}/{key.id}"
    assert key.id in {each["id"] for each in client.get(KEYS, headers=headers).json()["api_keys"]}
    for answer in (
        client.post(f"{at}/rotate", json={"overlap_seconds": 3600}, headers=headers),
        client.request("PATCH", at, json={"addresses": []}, headers=headers),
        client.request("PATCH", at, json={"scopes": ["admin"]}, headers=headers),
        client.request("DELETE", at, headers=headers),
    ):
        assert code_of(answer) == (403, "forbidden"), answer.text
    assert [each for each in list_api_keys(blue.db, blue.tenant) if each.id == key.id] == [key]
    new = rotate_api_key(blue.db, blue.tenant, key.id, overlap=timedelta(), now=NOW, by=COMMAND)
    changed = change_api_key(blue.db, blue.tenant, new.key.id, {"name": "ops 2"}, now=NOW, by=COMMAND)
    assert (changed.name, changed.scopes) == ("ops 2", {PLATFORM})
    assert revoke_api_key(blue.db, blue.tenant, new.key.id, now=NOW, by=COMMAND).revoked_at == NOW
