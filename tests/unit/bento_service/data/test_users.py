"""The routes about one user: export, erasure, and what answers know afterwards."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from bento_service.api.data import users
from resources.base.settings import Settings
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import pending_erasures
from resources.storage.run_lock import tenant_run_lock
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

pytestmark = pytest.mark.databases

ODD = "ü 2/x"


def recommend(client: Client, shop: Shop, user: str) -> dict[str, object]:
    answer = client.post("/api/v1/recommendations", headers=shop.headers, json={"user_id": user, "count": 6})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def track(client: Client, shop: Shop, user: str, item: str) -> None:
    event = {"user_id": user, "item_id": item, "interaction_type": "view"}
    assert client.post("/api/v1/interactions", headers=shop.headers, json=event).status_code == 200


@pytest.mark.parametrize("user", ["u1", ODD])
def test_after_the_erasure_the_user_is_a_stranger(client: Client, blue: Shop, green: Shop, user: str) -> None:
    for shop in (blue, green):
        track(client, shop, user, f"{shop.prefix}2")
    path = f"/api/v1/users/{quote(user, safe='')}"
    stranger = recommend(client, blue, "stranger")["recommendations"]
    assert recommend(client, blue, user)["recommendations"] != stranger
    exported = client.get(f"{path}/export", headers=blue.headers)
    assert exported.status_code == 200, exported.text
    assert [event["item_id"] for event in exported.json()["events"]] == ["b2"]
    assert [release["version"] for release in exported.json()["releases"]] == blue.versions

    answer = client.request("DELETE", path, headers=blue.headers)
    assert answer.status_code == 200, answer.text
    certificate = answer.json()
    assert [finding["place"] for finding in certificate["found"]] == [
        "control DB: events",
        "decision log",
        f"releases/{blue.versions[0]}",
    ]
    assert user not in answer.text
    state = client.get(f"/api/v1/erasures/{certificate['erasure_id']}", headers=blue.headers).json()
    assert (state["status"], state["certificate"], state["retrained_run"]) == ("completed", certificate, None)
    body = recommend(client, blue, user)
    assert body["recommendations"] == stranger
    assert body["metadata"]["release_version"] == blue.store.current() != blue.versions[0]  # type: ignore[index]
    assert client.get(f"{path}/export", headers=blue.headers).status_code == 404

    assert client.get(f"{path}/export", headers=green.headers).status_code == 200, "another shop's user is another"
    assert client.get(f"/api/v1/erasures/{certificate['erasure_id']}", headers=green.headers).status_code == 404
    assert green.store.current() == green.versions[0]


def test_while_a_run_is_going_on_the_erasure_is_acknowledged(
    client: Client, app: FastAPI, settings: Settings, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "WAIT_SECONDS", 0)
    track(client, blue, "u9", "b2")
    with tenant_run_lock(settings.home, blue.tenant, wait_seconds=0, run_id="run"):
        answers = [client.request("DELETE", "/api/v1/users/u9", headers=blue.headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    waiting = answers[0].json()
    assert waiting == answers[1].json()
    assert (waiting["status"], waiting["status_url"]) == ("pending", f"/api/v1/erasures/{waiting['erasure_id']}")
    assert answers[0].headers["Location"] == waiting["status_url"]
    assert "still going" in waiting["message"]
    state = client.get(waiting["status_url"], headers=blue.headers).json()
    assert (state["status"], state["certificate"], state["completed_at"]) == ("pending", None, None)
    assert EventLog(blue.db).events_of_user(blue.tenant, "u9").is_empty(), "answers no longer look at them"
    assert len(pending_erasures(blue.db)) == 1
    assert (
        client.request("DELETE", "/api/v1/users/u9", headers=blue.headers).json()["erasure_id"] == waiting["erasure_id"]
    )
    assert client.get(waiting["status_url"], headers=blue.headers).json()["status"] == "completed"


def test_an_unknown_user(client: Client, blue: Shop) -> None:
    assert client.get("/api/v1/users/nobody/export", headers=blue.headers).json()["error"]["code"] == "user_not_found"
    answer = client.request("DELETE", "/api/v1/users/nobody", headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "user_not_found")
    assert "nothing was erased" in answer.json()["error"]["message"]
    erasure = re.search(r"erasure-\w+", answer.text)
    assert erasure is not None
    assert client.get(f"/api/v1/erasures/{erasure[0]}", headers=blue.headers).json()["found"] is False
    missing = client.get("/api/v1/erasures/erasure-0", headers=blue.headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "erasure_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/v1/users/u1"), ("GET", "/api/v1/users/u1/export"), ("GET", "/api/v1/erasures/x")],
)
def test_only_an_admin_may(client: Client, blue: Shop, method: str, path: str) -> None:
    headers = blue.key_with("recommendations:read", "interactions:write", "uploads:write", "analytics:read")
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("user", ["%20", "a%00b", "x" * 257])
def test_what_is_no_user_id(client: Client, blue: Shop, user: str) -> None:
    for method, path in (("DELETE", f"/api/v1/users/{user}"), ("GET", f"/api/v1/users/{user}/export")):
        answer = client.request(method, path, headers=blue.headers)
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "user_id")
