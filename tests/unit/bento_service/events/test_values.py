"""Values and names of types in events and items by JSON, as shops write them: read as in files, or refused in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.control_db.tenants import change_settings
from resources.events.log import EventLog
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

EVENT = {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}


def send(client: Client, shop: Shop, body: Any, path: str = "/api/v1/interactions", **headers: str) -> Any:
    return client.post(path, json=body, headers={**shop.headers, **headers})


def stored(shop: Shop) -> list[Any]:
    return EventLog(shop.db).export_after(shop.tenant).rows(named=True)


def test_an_event_is_read_as_a_row_of_a_file(client: Client, blue: Shop) -> None:
    event = {
        **EVENT, "interaction_type": "Order Completed", "price": "1.299,50 EUR", "quantity": "2",
        "timestamp": 1717164300123456, "rating": "4,5", "duration_seconds": "NULL",
    }  # fmt: skip
    assert send(client, blue, event).status_code == 200
    (kept,) = stored(blue)
    assert (kept["interaction_type"], kept["price"], kept["quantity"]) == ("purchase", 1299.5, 2.0)
    assert (kept["rating"], kept["duration_seconds"]) == (4.5, None)
    assert kept["timestamp"].isoformat() == "2024-05-31T14:05:00.123456+00:00"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("price", "1,299", "decimals or thousands"),
        ("price", "10-20", "is a range"),
        ("timestamp", "03/04/2024", "day and month"),
        ("timestamp", "31/05/24", "two digits"),
        ("timestamp", "0000-00-00", "says no time"),
    ],
)
def test_what_could_be_two_things_is_refused(client: Client, blue: Shop, field: str, value: str, words: str) -> None:
    answer = send(client, blue, {**EVENT, field: value})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == field
    assert words in detail["message"]
    assert stored(blue) == []


def test_an_item_is_read_as_a_row_of_a_file(client: Client, blue: Shop) -> None:
    item = {
        "item_id": "new", "title": "Lamp", "price": "$19.99", "available": "out of stock", "brand": "None",
        "created_at": "31/12/2023", "category": "Light>Lamps",
    }  # fmt: skip
    assert send(client, blue, item, "/api/v1/items").status_code == 200
    (found,) = (
        each for each in client.get("/api/v1/items", headers=blue.headers).json()["items"] if each["item_id"] == "new"
    )
    assert (found["price"], found["available"], found["brand"]) == (19.99, False, None)
    assert (found["created_at"], found["category"]) == ("2023-12-31T00:00:00Z", "Light > Lamps")


def test_an_event_of_an_ignored_type_is_answered_and_not_stored(client: Client, blue: Shop) -> None:
    change_settings(blue.db, blue.tenant, {"interaction_types": {"remove_from_cart": "ignore"}}, now=datetime.now(UTC))
    removed = {**EVENT, "interaction_type": "Remove From Cart"}
    assert send(client, blue, removed).json()["status"] == "ignored"
    both, key = {"events": [removed, EVENT]}, {"Idempotency-Key": "k1"}
    for tracked, duplicates in ((1, 0), (0, 1)):
        batch = send(client, blue, both, **key).json()
        assert (batch["tracked"], batch["duplicates"], batch["ignored"]) == (tracked, duplicates, 1)
    each = send(client, blue, both, "/api/v1/interactions?partial=true").json()
    assert (each["status"], each["tracked"], each["ignored"]) == ("tracked", 1, 1)
    assert [event.get("ignored", False) for event in each["events"]] == [True, False]
    assert {row["interaction_type"] for row in stored(blue)} == {"view"}
    asked = {"user_id": "u1", "recent_events": [{"item_id": "b1", "interaction_type": "remove_from_cart"}]}
    assert send(client, blue, asked, "/api/v1/recommendations").status_code == 200
