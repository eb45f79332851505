"""Rules and changed items in the next answer: the routes, the app, the ranker, as a shop has them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

pytestmark = pytest.mark.databases


def ids(client: Client, shop: Shop, **body: Any) -> list[str]:
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["recommendations"]]


def similar(client: Client, shop: Shop, item_id: str) -> list[str]:
    asked = client.post("/api/v1/recommendations/similar", json={"item_id": item_id}, headers=shop.headers)
    return [item["item_id"] for item in asked.json()["similar_items"]]


def rule(client: Client, shop: Shop, kind: str, target: dict[str, Any], **fields: Any) -> str:
    body = {"kind": kind, "target": target, **fields}
    made = client.post("/api/v1/rules", json=body, headers=shop.headers)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def change(client: Client, shop: Shop, method: str, url: str, body: Any = None) -> httpx.Response:
    answer = client.request(method, url, headers=shop.headers, **({} if body is None else {"json": body}))
    assert answer.status_code == 200, answer.text
    return answer


def test_a_deleted_item_is_in_no_answer_from_the_acknowledgement_on(client: Client, blue: Shop) -> None:
    asked = {"user_id": "u1", "count": 6, "filters": {"include_unavailable": True}}
    assert "b2" in ids(client, blue, **asked)
    assert "b2" in similar(client, blue, "b1")
    change(client, blue, "DELETE", "/api/v1/items/b2")
    assert "b2" not in ids(client, blue, **asked)
    assert "b2" not in ids(client, blue, count=6)
    assert "b2" not in similar(client, blue, "b1")


def test_an_item_changed_or_added_shows_in_the_next_answer(client: Client, blue: Shop) -> None:
    new = {"item_id": "b7", "title": "Brand new", "category": "Garden", "price": 70}
    changed = {"item_id": "b6", "title": "Changed", "category": "Audio", "price": 6.5}
    change(client, blue, "POST", "/api/v1/items", [new, changed])
    assert ids(client, blue, filters={"category": "garden"}) == ["b7"]
    answer = client.post("/api/v1/recommendations", json={"filters": {"max_price": 7}}, headers=blue.headers).json()
    shown = answer["recommendations"][0]
    assert (shown["item_id"], shown["title"], shown["price"], shown["category"]) == ("b6", "Changed", 6.5, "Audio")
    change(client, blue, "PATCH", "/api/v1/items/b6", {"available": False})
    assert "b6" not in ids(client, blue, count=10)
    assert "b6" in ids(client, blue, count=10, filters={"include_unavailable": True})


def test_rules_hold_in_the_next_answer_and_end_when_they_are_removed(client: Client, blue: Shop) -> None:
    assert ids(client, blue, user_id="u1", count=2) == ["b2", "b3"]
    hide = rule(client, blue, "hide", {"item_ids": ["b2"]})
    assert ids(client, blue, user_id="u1", count=2) == ["b3", "b5"]
    pin = rule(client, blue, "pin", {"item_ids": ["b4"]}, scenario="home")
    pinned = {"user_id": "u1", "count": 2, "scenario": "home"}
    assert ids(client, blue, **pinned) == ["b4", "b3"]
    assert ids(client, blue, user_id="u1", count=2) == ["b3", "b5"]
    boost = rule(client, blue, "boost", {"category": "kitchen"}, factor=50)
    assert ids(client, blue, user_id="u1", count=1) == ["b5"]
    for each in (hide, pin, boost):
        change(client, blue, "DELETE", f"/api/v1/rules/{each}")
    assert ids(client, blue, **pinned) == ["b2", "b3"]


def test_a_rule_begins_and_ends_by_the_clock_of_the_service(client: Client, blue: Shop) -> None:
    """The clock of the tests stands at noon of 2024-06-01."""
    hide = {"item_ids": ["b2"]}
    for window in ({"ends_at": "2024-06-01T12:00:00Z"}, {"starts_at": "2024-06-01T14:00:01+02:00"}):
        rule(client, blue, "hide", hide, **window)
    assert "b2" in ids(client, blue, user_id="u1")
    rule(client, blue, "hide", hide, starts_at="2024-06-01T12:00:00Z", ends_at="2024-06-01T12:00:01Z")
    assert "b2" not in ids(client, blue, user_id="u1")
    found = client.get("/api/v1/rules", headers=blue.headers).json()["rules"]
    assert [each["active"] for each in found] == [False, False, True]


def test_a_rule_is_shown_listed_and_changed(client: Client, blue: Shop) -> None:
    first = rule(client, blue, "boost", {"brand": "Acme"}, note="Spring")
    second = rule(client, blue, "hide", {"tag": "red"})
    shown = client.get(f"/api/v1/rules/{first}", headers=blue.headers).json()
    assert (shown["kind"], shown["factor"], shown["target"]["brand"], shown["active"]) == ("boost", 2.0, "Acme", True)
    changed = change(client, blue, "PATCH", f"/api/v1/rules/{first}", {"factor": 3, "note": None}).json()
    assert (changed["factor"], changed["note"], changed["target"]["brand"]) == (3.0, None, "Acme")
    page = client.get("/api/v1/rules?limit=1", headers=blue.headers).json()
    rest = client.get(f"/api/v1/rules?cursor={page['next_cursor']}", headers=blue.headers).json()
    assert ([each["id"] for each in page["rules"]], [each["id"] for each in rest["rules"]]) == ([first], [second])
    assert rest["next_cursor"] is None
    assert client.get("/api/v1/rules?cursor=nonsense", headers=blue.headers).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"target": {"tag": "x"}}, "kind"),
        ({"kind": "hide", "target": {"tag": "x"}, "colour": 1}, "colour"),
        ({"kind": "hide", "target": {"tag": "x", "brand": "y"}}, "target"),
        ({"kind": "pin", "target": {"tag": "x"}}, "rule"),
        ({"kind": "boost", "target": {"tag": "x"}, "factor": 1000}, "factor"),
    ],
)
def test_what_is_no_rule_is_refused(client: Client, blue: Shop, body: dict[str, Any], field: str) -> None:
    refused = client.post("/api/v1/rules", json=body, headers=blue.headers)
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["error"]["details"]] == [field]
    assert client.get("/api/v1/rules", headers=blue.headers).json()["rules"] == []


def test_a_change_that_makes_no_rule_changes_nothing(client: Client, blue: Shop) -> None:
    made = rule(client, blue, "hide", {"tag": "x"})
    url = f"/api/v1/rules/{made}"
    assert client.request("PATCH", url, json={"factor": 2}, headers=blue.headers).status_code == 422
    assert client.get(url, headers=blue.headers).json()["factor"] is None


def test_a_retry_with_its_key_makes_no_second_rule(client: Client, blue: Shop) -> None:
    body, headers = {"kind": "hide", "target": {"tag": "x"}}, {**blue.headers, "Idempotency-Key": "k"}
    made = [client.post("/api/v1/rules", json=body, headers=headers).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(client.get("/api/v1/rules", headers=blue.headers).json()["rules"]) == 1
    other = client.post("/api/v1/rules", json={**body, "kind": "bury"}, headers=headers)
    assert other.status_code == 409


def test_no_shop_sees_changes_or_rules_of_another(client: Client, blue: Shop, green: Shop) -> None:
    made = rule(client, blue, "hide", {"item_ids": ["g2", "b2"]})
    change(client, blue, "POST", "/api/v1/items", {"item_id": "g3", "title": "Mine", "deleted": True})
    assert ids(client, green, user_id="u1", count=2) == ["g2", "g3"]
    for method, body in (("GET", None), ("PATCH", {"note": "x"}), ("DELETE", None)):
        sent = client.request(method, f"/api/v1/rules/{made}", headers=green.headers, json=body)
        assert (sent.status_code, sent.json()["error"]["code"]) == (404, "rule_not_found")
    assert client.get("/api/v1/rules", headers=green.headers).json()["rules"] == []
    foreign = {"kind": "hide", "target": {"tag": "x"}, "tenant_id": "green"}
    assert client.post("/api/v1/rules", json=foreign, headers=blue.headers).status_code == 403


def test_rules_need_the_scope_of_items(client: Client, blue: Shop) -> None:
    headers = blue.key_with("recommendations:read", "interactions:write", "uploads:write")
    for method, url in (
        ("GET", "/api/v1/rules"),
        ("POST", "/api/v1/rules"),
        ("GET", "/api/v1/rules/x"),
        ("PATCH", "/api/v1/rules/x"),
        ("DELETE", "/api/v1/rules/x"),
    ):
        assert client.request(method, url, headers=headers).status_code == 403
