"""Every route asked by one shop for what is another's: nothing is seen, changed, or even known to exist."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import get_tenant
from tests.hostile.isolation_tables import (
    ANSWERS,
    CHANGES,
    EVENT,
    FOR_NO_KEY,
    FORBIDDEN,
    ITEMS,
    LISTS,
    NOT_FOUND,
    OF_PEOPLE,
    OPEN,
    SECRET,
    WITHOUT_TENANT_ID,
    WRITES,
)
from tests.hostile.live import Live, in_error_shape, live_service
from tests.unit.bento_service.people import person

JOB_SECONDS = 60.0


@dataclass(frozen=True)
class Owned:
    """What green has, by the name that a route has for its id."""

    ids: dict[str, str]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("isolation"), RECSAAS_INLINE_UPLOAD_BYTES="2000") as live:
        yield live


@pytest.fixture(scope="module")
def green(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.server.url, headers=live.green.headers, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def blue(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.server.url, headers=live.blue.headers, timeout=30) as http:
        yield http


def made(answer: httpx.Response) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def owned(green: httpx.Client) -> Owned:
    upload = made(green.post("/api/v1/upload/items", files={"file": (f"{SECRET}.csv", ITEMS)}))
    rows = "".join(f"{SECRET}-{row},{SECRET} {row}\n" for row in range(200))
    job = made(green.post("/api/v1/upload/items", files={"file": (f"{SECRET}-big.csv", f"item_id,title\n{rows}")}))
    item = {"item_id": f"{SECRET}-item", "title": f"{SECRET} lamp", "price": 3}
    made(green.post("/api/v1/items", json=item))
    rule = made(green.post("/api/v1/rules", json={"kind": "bury", "target": {"item_ids": ["g1"]}, "note": SECRET}))
    made(green.post("/api/v1/interactions", json=EVENT))
    export = made(green.post("/api/v1/recommendations/exports", json={"scenario": SECRET}))
    training = made(green.post("/api/v1/train", json={}))
    answer = made(green.post("/api/v1/recommendations", json={"user_id": EVENT["user_id"], "count": 2}))
    made(green.post("/api/v1/interactions", json={**EVENT, "user_id": "someone-else", "event_id": "someone-else-1"}))
    erasure = made(green.delete("/api/v1/users/someone-else"))
    made(green.put("/api/v1/mappings/items", json={"columns": {SECRET: "ignore"}}))
    key = made(green.post("/api/v1/api-keys", json={"name": SECRET, "scopes": ["recommendations:read"]}))
    hook = {"url": f"https://{SECRET}.example.com/hook", "description": SECRET}
    webhook = made(green.post("/api/v1/webhooks", json=hook))
    delivery = made(green.post(f"/api/v1/webhooks/{webhook['id']}/test"))
    invite = made(green.post("/api/v1/invites", json={"email": f"{SECRET}@example.com", "role": "viewer"}))
    account = {"email": f"{SECRET}-member@example.com", "password": "plain window sofa 9", "role": "viewer"}
    member = made(green.post("/api/v1/admin/users", json=account))
    ids = {
        "upload_id": upload["upload_id"],
        "job_id": job["job_id"],
        "item_id": item["item_id"],
        "rule_id": rule["id"],
        "export_id": export["export_id"],
        "training_id": training["job_id"],
        "archive_id": "",
        "recommendation_id": answer["recommendation_id"],
        "user_id": EVENT["user_id"],
        "erasure_id": erasure["erasure_id"],
        "key_id": key["id"],
        "webhook_id": webhook["id"],
        "invite_id": invite["id"],
        "member_id": member["id"],
        "delivery_id": delivery["id"],
    }
    ended(green, f"/api/v1/uploads/jobs/{ids['job_id']}")
    # Behind the erasure, which removes the archives that were there.
    ids["archive_id"] = made(green.post("/api/v1/shop/exports"))["export_id"]
    ended(green, f"/api/v1/shop/exports/{ids['archive_id']}")
    return Owned(ids)


def ended(http: httpx.Client, url: str) -> None:
    """Wait until a job is over."""
    deadline = time.monotonic() + JOB_SECONDS
    while made(http.get(url))["status"] in ("queued", "checking", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def routes(http: httpx.Client) -> set[tuple[str, str]]:
    document = made(http.get("/openapi.json"))
    return {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    }


def address(path: str, ids: dict[str, str]) -> str:
    own = ids | {"job_id": ids["training_id"]} if path.startswith("/api/v1/training/") else ids
    return path.format(**own, kind="items", month="2026-10", plan_id="standard")


def test_every_route_is_in_one_of_the_tables(green: httpx.Client) -> None:
    known = NOT_FOUND | LISTS | set(ANSWERS) | WRITES | FORBIDDEN | OF_PEOPLE | FOR_NO_KEY | OPEN
    assert routes(green) - known == set(), "say what another tenant must get at a new route"


@pytest.mark.parametrize(("method", "path"), sorted(NOT_FOUND))
def test_what_is_anothers_is_not_found(
    live: Live, green: httpx.Client, blue: httpx.Client, owned: Owned, method: str, path: str
) -> None:
    url = address(path, owned.ids)
    body = {"json": CHANGES[method, path]} if (method, path) in CHANGES else {}
    if method == "GET":
        assert green.get(url).status_code != 404, "the owner has it"
    answer = blue.request(method, url, **body)
    assert answer.status_code == 404, answer.text
    assert in_error_shape(answer)
    assert SECRET not in answer.text.replace(owned.ids["item_id"], "")
    unknown = {name: f"{value[:-3]}zzz" for name, value in owned.ids.items()}
    other = blue.request(method, address(path, unknown), **body)
    assert other.status_code == 404, "an id of another tenant and one that nobody has are told apart"
    if method == "GET":
        assert green.get(url).status_code != 404
    stranger = httpx.request(method, f"{live.server.url}{url}", **body)
    assert stranger.status_code == 401
    narrow = httpx.request(method, f"{live.server.url}{url}", headers=live.blue.key_with("interactions:write"), **body)
    assert narrow.status_code == 403, "permission is checked before existence"


@pytest.mark.parametrize(("method", "path"), sorted(FOR_NO_KEY))
def test_what_is_for_no_key_is_for_none(live: Live, blue: httpx.Client, owned: Owned, method: str, path: str) -> None:
    url = address(path, owned.ids)
    refused = blue.request(method, url)
    assert refused.status_code == 403, refused.text
    assert SECRET not in refused.text
    assert httpx.request(method, f"{live.server.url}{url}").status_code == 401


@pytest.mark.parametrize(("method", "path"), sorted(OF_PEOPLE))
def test_a_person_sees_nothing_of_another_one(live: Live, blue: httpx.Client, method: str, path: str) -> None:
    now = datetime.now(UTC)
    db = open_control_db(live.settings.database_url, migrate=False)
    name = secrets.token_hex(4)
    theirs = person(db, f"{SECRET}-{name}@example.com", now=now, tenant=live.green.tenant)
    own = person(db, f"{name}@example.com", now=now, tenant=live.blue.tenant)
    db.close()
    url = path.format(session_id=theirs.family)
    body = (
        {"current_password": "x", "new_password": "four other words to keep"} if "password" in path else {"name": "x"}
    )
    sent = {"json": body} if method in ("POST", "PATCH") else {}
    assert blue.request(method, url, **sent).status_code == 403
    answer = httpx.request(method, f"{live.server.url}{url}", headers=own.headers, **sent)
    assert answer.status_code == (404 if method == "DELETE" else 409 if "password" in path else 200), answer.text
    assert SECRET not in answer.text
    if method == "DELETE":
        unknown = httpx.request(method, f"{live.server.url}{url[:-3]}zzz", headers=own.headers)
        assert unknown.status_code == 404


@pytest.mark.parametrize(("method", "path"), sorted(FORBIDDEN))
def test_a_key_of_every_scope_stops_and_resumes_no_other_tenant(
    live: Live, green: httpx.Client, blue: httpx.Client, method: str, path: str
) -> None:
    theirs, nobodys = (
        path.format(tenant_id=name, archive_id="archive-1", meter="calls") for name in ("green", "nobody")
    )
    answers = [blue.request(method, url) for url in (theirs, nobodys)]
    assert [answer.status_code for answer in answers] == [403, 403]
    messages = {answer.json()["error"]["message"] for answer in answers}
    assert len(messages) == 1, "a tenant that there is and one that there is not are told apart"
    assert httpx.request(method, f"{live.server.url}{theirs}").status_code == 401
    assert get_tenant(live.blue.db, TenantId("green")).status == "active"
    assert green.get("/api/v1/uploads").status_code == 200


@pytest.mark.parametrize(("method", "path"), sorted(LISTS))
def test_lists_show_ones_own(green: httpx.Client, blue: httpx.Client, owned: Owned, method: str, path: str) -> None:
    url = address(path, owned.ids)
    mine, theirs = blue.request(method, url), green.request(method, url)
    assert (mine.status_code, theirs.status_code) == (200, 200), mine.text
    for value in (SECRET, *owned.ids.values()):
        assert value not in mine.text


@pytest.mark.parametrize(("method", "path"), sorted(ANSWERS))
def test_answers_hold_nothing_of_another(blue: httpx.Client, owned: Owned, method: str, path: str) -> None:
    answer = blue.request(method, address(path, owned.ids), **ANSWERS[method, path])
    assert answer.status_code in (200, 404), answer.text
    for value in (f"{SECRET} lamp", f"{SECRET}-visit", '"g1"', '"g2"', "Title g"):
        assert value not in answer.text


@pytest.mark.parametrize(("method", "path"), sorted(WRITES - WITHOUT_TENANT_ID))
def test_a_tenant_id_that_is_anothers_is_refused(blue: httpx.Client, owned: Owned, method: str, path: str) -> None:
    answer = blue.request(method, address(path, owned.ids), json=body_of(path) | {"tenant_id": "green"})
    assert answer.status_code in (403, 422), answer.text
    assert in_error_shape(answer)


def test_an_erasure_by_another_takes_nothing(green: httpx.Client, blue: httpx.Client, owned: Owned) -> None:
    blue.delete(f"/api/v1/users/{owned.ids['user_id']}")
    export = made(green.get(f"/api/v1/users/{owned.ids['user_id']}/export"))
    assert SECRET in str(export)
    assert "g2" in str(export)


def body_of(path: str) -> dict[str, Any]:
    if path in ("/api/v1/interactions", "/events"):
        return {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}
    if path == "/api/v1/items":
        return {"item_id": "b1", "title": "Mine"}
    if path == "/api/v1/rules":
        return {"kind": "hide", "target": {"item_ids": ["b1"]}}
    if path == "/api/v1/api-keys":
        return {"name": "mine", "scopes": ["recommendations:read"]}
    if path == "/api/v1/invites":
        return {"email": "mine@example.com", "role": "viewer"}
    if path == "/api/v1/webhooks":
        return {"url": "https://mine.example.com/hook"}
    if path == "/api/v1/plan/request":
        return {"plan": "standard"}
    if path == "/api/v1/admin/users":
        return {"email": "mine@example.com", "role": "viewer", "password": "plain window sofa 9"}
    return {}
