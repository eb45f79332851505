"""The routes of webhooks."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from resources.webhooks.announcing import announce
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop

HOOK = {"url": "https://shop.example.com/hook", "events": ["release.live"], "description": "our shop"}


def added(client: Client, shop: Shop) -> Any:
    answer = client.post("/api/v1/webhooks", json=HOOK, headers=shop.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_life_of_an_endpoint(client: Client, blue: Shop, green: Shop) -> None:
    made = added(client, blue)
    assert made["secret"].startswith("whsec_") and made["enabled"] and made["events"] == ["release.live"]
    url = f"/api/v1/webhooks/{made['id']}"
    shown = client.get(url, headers=blue.headers)
    assert "secret" not in shown.json() and made["secret"] not in shown.text
    (listed,) = client.get("/api/v1/webhooks", headers=blue.headers).json()["webhooks"]
    assert listed == shown.json()
    assert client.get("/api/v1/webhooks", headers=green.headers).json() == {"webhooks": []}
    changed = client.request("PATCH", url, json={"enabled": False, "events": []}, headers=blue.headers).json()
    assert (changed["enabled"], changed["events"], changed["url"]) == (False, [], HOOK["url"])
    assert client.post(f"{url}/test", headers=blue.headers).status_code == 409
    client.request("PATCH", url, json={"enabled": True}, headers=blue.headers)
    rotated = client.post(f"{url}/rotate-secret", headers=blue.headers).json()
    assert rotated["secret"] != made["secret"] and rotated["previous_secret_until"] is not None
    assert client.request("DELETE", url, headers=blue.headers).json() == {"id": made["id"], "status": "removed"}
    assert client.get(url, headers=blue.headers).status_code == 404


def test_deliveries_page_by_page(client: Client, app: FastAPI, blue: Shop) -> None:
    made = added(client, blue)
    url = f"/api/v1/webhooks/{made['id']}"
    tried = client.post(f"{url}/test", headers=blue.headers)
    assert (tried.status_code, tried.json()["type"], tried.json()["status"]) == (202, "webhook.test", "waiting")
    with blue.db.write() as session:
        for _ in range(3):
            announce(session, blue.tenant, "release.live", {"version": "v1"}, now=NOW)
    seen, cursor = [], ""
    while True:
        page = client.get(f"{url}/deliveries?limit=3{cursor}", headers=blue.headers).json()
        seen += [each["id"] for each in page["deliveries"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(set(seen)) == 4
    again = client.post(f"{url}/deliveries/{seen[0]}/retry", headers=blue.headers)
    assert again.status_code == 202
    assert client.post(f"{url}/deliveries/none/retry", headers=blue.headers).status_code == 404


def test_what_is_refused(client: Client, blue: Shop) -> None:
    for body, field in (
        ({}, "url"),
        ({"url": "http://shop.example.com"}, "url"),
        ({"url": "https://user:pass@shop.example.com"}, "url"),
        ({**HOOK, "events": ["release.dead"]}, "events.0"),
        ({**HOOK, "event": ["release.live"]}, "event"),
    ):
        answer = client.post("/api/v1/webhooks", json=body, headers=blue.headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["details"][0]["field"] == field
    foreign = client.post("/api/v1/webhooks", json={**HOOK, "tenant_id": "green"}, headers=blue.headers)
    assert foreign.status_code == 403
    narrow = client.get("/api/v1/webhooks", headers=blue.key_with("items:write", "training:write"))
    assert narrow.status_code == 403
