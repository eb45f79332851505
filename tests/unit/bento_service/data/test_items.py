"""The item routes: what is stored, what is refused, and who sees it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resources.base.ids import MAX_ID_BYTES
from resources.control_db.engine import ControlDb
from resources.control_db.items import list_item_changes
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

pytestmark = pytest.mark.databases

CSV = b"item_id,title,price,category,tags\nb1,One,10,Audio,new|red\nb9,Nine,90,Kitchen,\n"


def put(client: Client, shop: Shop, body: Any, **headers: str) -> httpx.Response:
    return client.post("/api/v1/items", json=body, headers={**shop.headers, **headers})


def patch(client: Client, shop: Shop, item_id: str, body: Any, **headers: str) -> httpx.Response:
    return client.request("PATCH", f"/api/v1/items/{item_id}", json=body, headers={**shop.headers, **headers})


def delete(client: Client, shop: Shop, item_id: str) -> httpx.Response:
    return client.request("DELETE", f"/api/v1/items/{item_id}", headers=shop.headers)


def upload(client: Client, shop: Shop, csv: bytes = CSV) -> None:
    sent = client.post("/api/v1/items", files={"file": ("items.csv", csv, "text/csv")}, headers=shop.headers)
    assert sent.json()["rows_accepted"] == csv.count(b"\n") - 1


def shown(client: Client, shop: Shop, query: str = "") -> list[str]:
    return [item["item_id"] for item in client.get(f"/api/v1/items{query}", headers=shop.headers).json()["items"]]


def problems(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {each["field"]: each["message"] for each in answer.json()["error"]["details"]}


def test_an_item_is_stored_shown_and_replaced_as_a_whole(client: Client, empty: Shop) -> None:
    stored = put(client, empty, {"item_id": "lamp", "name": " Lamp ", "price": 39.9, "tags": ["new", "brass"]})
    assert stored.status_code == 200
    assert {**stored.json(), "processed_at": None} == {
        "status": "stored",
        "items": 1,
        "deleted": 0,
        "duplicate": False,
        "processed_at": None,
    }
    lamp = client.get("/api/v1/items/lamp", headers=empty.headers).json()
    assert (lamp["title"], lamp["name"], lamp["price"], lamp["tags"]) == ("Lamp", "Lamp", 39.9, ["new", "brass"])
    assert (lamp["available"], lamp["changed_by"]) == (True, "api")
    put(client, empty, [{"item_id": "lamp", "title": "Lamp 2", "created_at": "2024-05-01T10:00:00+02:00"}])
    lamp = client.get("/api/v1/items/lamp", headers=empty.headers).json()
    assert (lamp["title"], lamp["price"], lamp["tags"]) == ("Lamp 2", None, [])
    assert lamp["created_at"] == "2024-05-01T08:00:00Z"


def test_a_patch_of_an_uploaded_item_keeps_the_rest(client: Client, empty: Shop) -> None:
    upload(client, empty)
    changed = patch(client, empty, "b1", {"price": 12.5, "category": None}).json()
    assert (changed["title"], changed["price"], changed["category"], changed["tags"]) == (
        "One",
        12.5,
        None,
        ["new", "red"],
    )
    assert patch(client, empty, "b9", {"available": False}).json()["available"] is False


def test_a_deleted_item_is_gone_and_deleting_it_again_changes_nothing(client: Client, empty: Shop) -> None:
    upload(client, empty)
    assert delete(client, empty, "b1").json()["status"] == "deleted"
    assert delete(client, empty, "b1").json()["status"] == "deleted"
    assert len(list_item_changes(empty.db, empty.tenant)) == 1
    assert client.get("/api/v1/items/b1", headers=empty.headers).status_code == 404
    assert patch(client, empty, "b1", {"price": 1}).status_code == 404
    assert delete(client, empty, "nobody-knows").json()["error"]["code"] == "item_not_found"
    assert shown(client, empty) == ["b9"]


def test_an_item_that_only_the_release_knows_can_be_deleted(client: Client, blue: Shop) -> None:
    assert delete(client, blue, "b4").status_code == 200
    assert [change.action for change in list_item_changes(blue.db, blue.tenant)] == ["delete"]


def test_ids_may_hold_anything_that_the_contract_allows(client: Client, empty: Shop) -> None:
    put(client, empty, {"item_id": "a/b ü?", "title": "Slash"})
    assert client.get("/api/v1/items/a%2Fb%20%C3%BC%3F", headers=empty.headers).json()["title"] == "Slash"
    assert patch(client, empty, "a%2Fb%20%C3%BC%3F", {"title": "New"}).json()["title"] == "New"
    assert "item_id" in problems(client.get(f"/api/v1/items/{'x' * (MAX_ID_BYTES + 1)}", headers=empty.headers))


def test_the_list_is_searched_and_paged_by_id(client: Client, empty: Shop) -> None:
    upload(client, empty)
    more = [{"item_id": f"c{n:02}", "title": f"Chair {n}", "category": " audio "} for n in range(30)]
    put(client, empty, more)
    delete(client, empty, "c05")
    put(client, empty, {"item_id": "b1", "title": "Moved", "category": "Kitchen"})
    assert shown(client, empty, "?category=kitchen") == ["b1", "b9"]
    assert shown(client, empty, "?q=CHAIR%2029") == ["c29"]
    assert shown(client, empty, "?q=one") == []
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        query = f"?category=AUDIO&limit=10{f'&cursor={cursor}' if cursor else ''}"
        page = client.get(f"/api/v1/items{query}", headers=empty.headers).json()
        found += [item["item_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == [f"c{n:02}" for n in range(30) if n != 5]
    assert "cursor" in problems(client.get("/api/v1/items?cursor=nonsense", headers=empty.headers))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"item_id": "a"}, "title"),
        ({"item_id": "a", "title": "  "}, "title"),
        ({"item_id": "a", "title": "A", "price": -1}, "price"),
        ({"item_id": "a", "title": "A", "colour": "red"}, "colour"),
        ({"item_id": "a", "title": "A", "tags": ["x|y"]}, "tags.tuple[nullable[str], ...].0"),
        ([{"item_id": "a", "title": "A"}, {"item_id": "b", "title": ""}], "items.1.title"),
        ([{"item_id": "a", "title": "A"}, {"item_id": "a", "title": "B"}], "items.1.item_id"),
        ([], "items"),
        ([{"item_id": f"i{n}", "title": "A"} for n in range(1001)], "items"),
    ],
)
def test_what_breaks_a_rule_is_named_and_nothing_is_stored(client: Client, empty: Shop, body: Any, field: str) -> None:
    assert any(name.startswith(field.split(".tuple")[0]) for name in problems(put(client, empty, body)))
    assert shown(client, empty) == []


def test_a_patch_names_a_field_and_keeps_a_title(client: Client, empty: Shop) -> None:
    put(client, empty, {"item_id": "a", "title": "A"})
    assert patch(client, empty, "a", {}).status_code == 422
    assert patch(client, empty, "a", {"title": None}).status_code == 422
    assert patch(client, empty, "a", {"title": "", "price": 3}).json()["title"] == "A"
    assert "price" in problems(patch(client, empty, "a", {"price": -3}))
    assert client.get("/api/v1/items/a", headers=empty.headers).json()["title"] == "A"


def test_the_same_item_twice_and_deletions_in_one_request(client: Client, empty: Shop) -> None:
    upload(client, empty)
    a = {"item_id": "a", "title": "A"}
    stored = put(client, empty, {"items": [a, a, {"item_id": "b9", "deleted": True}]}).json()
    assert (stored["items"], stored["deleted"]) == (1, 1)
    assert shown(client, empty) == ["a", "b1"]


def test_a_retry_with_its_key_changes_nothing(client: Client, empty: Shop) -> None:
    key = {"Idempotency-Key": "k1"}
    assert put(client, empty, {"item_id": "a", "title": "First"}, **key).json()["duplicate"] is False
    put(client, empty, {"item_id": "a", "title": "Second"})
    assert put(client, empty, {"item_id": "a", "title": "First"}, **key).json()["duplicate"] is True
    assert client.get("/api/v1/items/a", headers=empty.headers).json()["title"] == "Second"
    assert put(client, empty, {"item_id": "a", "title": "Third"}, **key).status_code == 409
    patch(client, empty, "a", {"price": 1}, **{"Idempotency-Key": "k2"})
    patch(client, empty, "a", {"price": 2})
    assert patch(client, empty, "a", {"price": 1}, **{"Idempotency-Key": "k2"}).json()["price"] == 2.0


def test_validate_only_stores_nothing(client: Client, empty: Shop) -> None:
    sent = client.post("/api/v1/items?validate_only=true", json={"item_id": "a", "title": "A"}, headers=empty.headers)
    assert sent.json()["items"] == 1
    assert shown(client, empty) == []


def test_no_shop_touches_anothers_items(client: Client, blue: Shop, green: Shop, db: ControlDb) -> None:
    upload(client, green, b"item_id,title\ng1,Green\n")
    assert client.get("/api/v1/items/g1", headers=blue.headers).status_code == 404
    assert patch(client, blue, "g1", {"price": 1}).status_code == 404
    assert delete(client, blue, "g1").status_code == 404
    key = {"Idempotency-Key": "same"}
    put(client, blue, {"item_id": "x", "title": "Blue"}, **key)
    assert put(client, green, {"item_id": "x", "title": "Green"}, **key).json()["duplicate"] is False
    assert client.get("/api/v1/items/x", headers=blue.headers).json()["title"] == "Blue"
    body = {"item_id": "x", "title": "X", "tenant_id": "green"}
    assert put(client, blue, body).status_code == 403
    assert put(client, blue, [body]).status_code == 403
    assert patch(client, blue, "x", {"price": 1, "tenant_id": "green"}).status_code == 403


def test_items_need_their_scope_before_anything_else(client: Client, blue: Shop) -> None:
    headers = blue.key_with("recommendations:read", "interactions:write", "uploads:write")
    for method, url in (
        ("POST", "/api/v1/items"),
        ("GET", "/api/v1/items"),
        ("GET", "/api/v1/items/none"),
        ("PATCH", "/api/v1/items/none"),
        ("DELETE", "/api/v1/items/none"),
    ):
        assert client.request(method, url, headers=headers).status_code == 403
