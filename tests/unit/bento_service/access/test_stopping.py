"""Keys and tenants that are stopped: by whom, what stops, and that nothing is lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI

from bento_service.access.key_cache import KEY_TTL_SECONDS, KeyCache
from bento_service.app import create_app
from bento_service.scheduling.threads import Threads
from resources.access.actor import SYSTEM
from resources.access.key_kinds import BROWSER_SCOPES, KeyTerms
from resources.access.scopes import PLATFORM
from resources.base.settings import Settings
from resources.control_db.api_keys import (
    MAX_ACTIVE_KEYS,
    create_api_key,
    list_api_keys,
    make_api_key,
    revoke_api_key,
)
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant, resume_tenant, suspend_tenant
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import INLINE_UPLOAD_BYTES, NOW, Shop

KEYS = "/api/v1/api-keys"


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def forget(app: FastAPI) -> None:
    """Let the time pass for which a key is believed."""
    app.state.services.keys._keys.clear()


def platform_key(shop: Shop) -> dict[str, str]:
    _, secret = create_api_key(shop.db, shop.tenant, name="operator", scopes=(PLATFORM,), now=NOW)
    return {"Authorization": f"Bearer {secret}"}


def test_a_key_is_made_listed_and_revoked(
    client: Client, app: FastAPI, blue: Shop, green: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"name": "web", "scopes": list(BROWSER_SCOPES)}
    answer = client.post(KEYS, json=body, headers=blue.headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()
    assert made["api_key"].startswith(made["key_prefix"]) and made["api_key"].startswith("sk_live_")
    assert (made["name"], made["status"], set(made["scopes"])) == ("web", "active", set(BROWSER_SCOPES))
    web = {"Authorization": f"Bearer {made['api_key']}"}
    assert client.get("/recommend/u1", headers=web).status_code == 200
    shown = client.get(KEYS, headers=blue.headers)
    assert {key["name"] for key in shown.json()["api_keys"]} == {"all", "web"}  # of one age, by the clock of the tests
    assert made["api_key"] not in shown.text and blue.key not in shown.text
    assert [key["name"] for key in client.get(KEYS, headers=green.headers).json()["api_keys"]] == ["all"]
    assert code_of(client.request("DELETE", f"{KEYS}/{made['id']}", headers=green.headers)) == (404, "not_found")
    for _ in range(2):
        revoked = client.request("DELETE", f"{KEYS}/{made['id']}", headers=blue.headers)
        assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    forget(app)
    assert code_of(client.get("/recommend/u1", headers=web)) == (401, "unauthenticated")
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    stops = [line for line in lines if line["event"] == "key_revoked"]
    assert [(line["tenant"], line["key"], line["level"]) for line in stops] == [("blue", made["id"], "warning")] * 2
    assert made["api_key"] not in str(lines)


def test_keys_come_in_pages(client: Client, blue: Shop) -> None:
    for name in "abc":
        client.post(KEYS, json={"name": name, "scopes": ["items:write"]}, headers=blue.headers)
    names, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{KEYS}?limit=2{cursor and f'&cursor={cursor}'}", headers=blue.headers).json()
        names += [key["name"] for key in page["api_keys"]]
        cursor = page["next_cursor"]
    assert sorted(names) == ["a", "all", "b", "c"]
    for foreign in ("x", "azEyMw", "\u00fc"):
        assert client.get(f"{KEYS}?cursor={foreign}", headers=blue.headers).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": ["platform"]},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": []},
        {"name": " ", "scopes": ["admin"]},
        {"name": "x" * 201, "scopes": ["admin"]},
        {"scopes": ["admin"]},
    ],
)
def test_what_is_no_key_is_refused(client: Client, blue: Shop, body: dict[str, Any]) -> None:
    assert code_of(client.post(KEYS, json=body, headers=blue.headers)) == (422, "invalid_request")
    assert len(list_api_keys(blue.db, blue.tenant)) == 1


def test_the_last_admin_key_is_not_revoked_by_itself(client: Client, blue: Shop) -> None:
    (first,) = list_api_keys(blue.db, blue.tenant)
    assert code_of(client.request("DELETE", f"{KEYS}/{first.id}", headers=blue.headers)) == (409, "conflict")
    client.post(KEYS, json={"name": "next", "scopes": ["admin"]}, headers=blue.headers)
    assert client.request("DELETE", f"{KEYS}/{first.id}", headers=blue.headers).status_code == 200


def test_a_tenant_has_so_many_keys_and_no_more(client: Client, blue: Shop) -> None:
    for _ in range(MAX_ACTIVE_KEYS - 1):
        create_api_key(blue.db, blue.tenant, name="x", scopes=("items:write",), now=NOW)
    body = {"name": "one more", "scopes": ["items:write"]}
    assert code_of(client.post(KEYS, json=body, headers=blue.headers)) == (409, "conflict")
    spare = next(key for key in list_api_keys(blue.db, blue.tenant) if key.name == "x")
    revoke_api_key(blue.db, blue.tenant, spare.id, now=NOW)
    assert client.post(KEYS, json=body, headers=blue.headers).status_code == 201


def test_the_platform_stops_a_tenant_and_lets_it_go_on(
    client: Client, app: FastAPI, blue: Shop, green: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = platform_key(green)
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
    assert client.post("/events", json=event, headers=blue.headers).status_code == 200
    stopped = client.post("/api/v1/admin/tenants/blue/suspend", headers=operator)
    told = stopped.json()
    assert (stopped.status_code, told["id"], told["name"], told["status"]) == (200, "blue", "blue", "suspended")
    forget(app)
    refused = client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=blue.headers)
    assert code_of(refused) == (403, "forbidden")
    assert client.get("/recommend/u1", headers=green.headers).status_code == 200
    assert client.post("/api/v1/admin/tenants/blue/resume", headers=operator).json()["status"] == "active"
    forget(app)
    assert client.get("/recommend/u1", headers=blue.headers).status_code == 200
    assert len(client.get("/api/v1/users/u1/export", headers=blue.headers).json()["events"]) == 1
    out = capsys.readouterr().out
    assert '"event": "tenant_suspended"' in out and '"event": "tenant_resumed"' in out


def test_an_admin_stops_only_its_own_tenant_and_learns_nothing_of_others(
    client: Client, app: FastAPI, blue: Shop, green: Shop
) -> None:
    for tenant in ("green", "no-such-tenant", "Not A Slug"):
        answer = client.post(f"/api/v1/admin/tenants/{tenant}/suspend", headers=blue.headers)
        assert code_of(answer) == (403, "forbidden")
    assert code_of(client.post("/api/v1/admin/tenants/blue/resume", headers=blue.headers)) == (403, "forbidden")
    assert get_tenant(green.db, green.tenant).status == "active"
    assert client.post("/api/v1/admin/tenants/blue/suspend", headers=blue.headers).status_code == 200
    forget(app)
    assert client.get("/recommend/u1", headers=blue.headers).status_code == 403
    operator = platform_key(green)
    assert client.post("/api/v1/admin/tenants/no-such-tenant/suspend", headers=operator).status_code == 404
    assert client.post("/api/v1/admin/tenants/Not%20A%20Slug/suspend", headers=operator).status_code == 422


def test_a_key_of_any_kind_is_told_what_stops_a_tenant(client: Client, blue: Shop) -> None:
    terms = KeyTerms(name="page", kind="browser", scopes=BROWSER_SCOPES, origins=("https://shop.example",))
    made = make_api_key(blue.db, blue.tenant, terms, now=NOW, by=SYSTEM)
    headers = {"Authorization": f"Bearer {made.secret}", "Origin": "https://shop.example"}
    answer = client.post("/api/v1/admin/tenants/blue/suspend", headers=headers)
    assert code_of(answer) == (403, "forbidden")
    assert "lacks the scope platform or admin" in answer.json()["error"]["message"]
    for wrong in ("", "Basic eyJ", "Bearer"):
        told = client.post("/api/v1/admin/tenants/blue/suspend", headers={"Authorization": wrong})
        assert code_of(told) == (401, "unauthenticated"), wrong


def test_a_stop_by_any_way_is_in_the_log_of_every_worker_that_knew_the_key(
    blue: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    cache = KeyCache(blue.db, Threads().keys, clock=lambda: now)
    stopped = []
    for stop in (lambda: suspend_tenant(blue.db, blue.tenant), lambda: resume_tenant(blue.db, blue.tenant)):
        assert asyncio.run(cache.find(blue.key)) is not None
        stop()
        now += KEY_TTL_SECONDS
        asyncio.run(cache.find(blue.key))
        stopped.append(capsys.readouterr().out)
    (key,) = list_api_keys(blue.db, blue.tenant)
    revoke_api_key(blue.db, blue.tenant, key.id, now=NOW)
    now += KEY_TTL_SECONDS
    assert asyncio.run(cache.find(blue.key)) is None
    stopped.append(capsys.readouterr().out)
    assert ["key_stopped" in text for text in stopped] == [True, False, True]
    assert blue.key not in "".join(stopped)


def test_a_large_upload_of_a_suspended_tenant_waits_and_is_checked_when_it_goes_on(
    client: Client, app: FastAPI, blue: Shop, green: Shop
) -> None:
    worker = app.state.services.job_worker
    large = "item_id,title\n" + "".join(f"i{n},Item {n}\n" for n in range(INLINE_UPLOAD_BYTES // 10))
    sent = client.post("/api/v1/upload/items", files={"file": ("a.csv", large)}, headers=blue.headers)
    other = client.post("/api/v1/upload/items", files={"file": ("a.csv", large)}, headers=green.headers)
    assert (sent.status_code, other.status_code) == (202, 202)
    suspend_tenant(blue.db, blue.tenant)
    while worker.run_next():
        pass
    assert client.get(other.json()["status_url"], headers=green.headers).json()["status"] == "stored"
    resume_tenant(blue.db, blue.tenant)
    forget(app)
    assert client.get(sent.json()["status_url"], headers=blue.headers).json()["status"] == "queued"
    while worker.run_next():
        pass
    assert client.get(sent.json()["status_url"], headers=blue.headers).json()["status"] == "stored"


def test_the_demo_shop_of_a_suspended_tenant_is_closed(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    app = create_app(settings.model_copy(update={"demo_tenant": "blue"}), db, lake, lambda: NOW)
    with client_of(app) as client:
        assert client.get("/shop/items").status_code == 200
        suspend_tenant(db, blue.tenant)
        for path in ("/shop", "/shop/items", "/shop/items/b1", "/shop/config.json"):
            assert client.get(path).status_code == 403, path
