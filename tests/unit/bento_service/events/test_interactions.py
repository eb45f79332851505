from __future__ import annotations

import json
from typing import Any

import pytest

from resources.events.log import EventLog
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

pytestmark = pytest.mark.databases

EVENT = {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}


def send(client: Client, shop: Shop, body: Any, **headers: str) -> Any:
    return client.post("/api/v1/interactions", json=body, headers={**shop.headers, **headers})


def stored(shop: Shop) -> list[Any]:
    return EventLog(shop.db).export_after(shop.tenant).rows(named=True)


def test_one_event_is_stored_before_the_answer(client: Client, blue: Shop) -> None:
    event = {
        **EVENT, "timestamp": "2024-06-01T10:00:00+02:00", "event_id": "e1", "session_id": "s", "price": 9.5,
        "quantity": 2, "recommendation_id": "r", "context": {"page": "home"}, "metadata": {"a": [1]},
    }  # fmt: skip
    answer = send(client, blue, event)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["interaction_id"], body["duplicate"]) == ("tracked", "e1", False)
    assert body["processed_at"] == "2024-06-01T12:00:00Z"
    assert body["next_actions"] == {"retrain_recommended": False, "incremental_update": True}
    (kept,) = stored(blue)
    assert (kept["user_id"], kept["item_id"], kept["interaction_type"], kept["price"]) == ("u1", "b1", "view", 9.5)
    assert kept["timestamp"].isoformat() == "2024-06-01T08:00:00+00:00"
    assert json.loads(kept["extra"]) == {"context": {"page": "home"}, "metadata": {"a": [1]}}


def test_the_short_form_stores_too(client: Client, blue: Shop) -> None:
    assert client.post("/events", json=EVENT, headers=blue.headers).json()["status"] == "tracked"
    assert len(stored(blue)) == 1


def test_a_retry_with_the_same_event_id_changes_nothing(client: Client, blue: Shop) -> None:
    event = {**EVENT, "event_id": "e1"}
    assert send(client, blue, event).json()["duplicate"] is False
    again = send(client, blue, event)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert len(stored(blue)) == 1


def test_a_retry_with_the_same_idempotency_key_changes_nothing(client: Client, blue: Shop) -> None:
    batch = {"events": [EVENT, {**EVENT, "item_id": "b2"}]}
    key = {"Idempotency-Key": "k" * 256}
    assert send(client, blue, batch, **key).json()["tracked"] == 2
    again = send(client, blue, batch, **key).json()
    assert (again["tracked"], again["duplicates"]) == (0, 2)
    assert len(stored(blue)) == 2


OTHERS = [
    {**EVENT, "item_id": "b2"},
    {**EVENT, "metadata": {"place": "home"}},
    {**EVENT, "timestamp": "2024-05-31T00:00:00Z"},
    {"events": [EVENT, EVENT]},
]


@pytest.mark.parametrize(("first", "second"), [*((EVENT, other) for other in OTHERS), (OTHERS[3], EVENT)])
def test_an_idempotency_key_with_another_body_is_a_conflict(
    client: Client, blue: Shop, green: Shop, first: Any, second: Any
) -> None:
    key = {"Idempotency-Key": "once"}
    send(client, blue, first, **key)
    before = stored(blue)
    answer = send(client, blue, second, **key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert send(client, blue, first, **key).status_code == 200
    assert stored(blue) == before
    assert send(client, green, second, **key).status_code == 200


def test_an_event_id_belongs_to_its_tenant(client: Client, blue: Shop, green: Shop) -> None:
    event = {**EVENT, "event_id": "e1"}
    assert send(client, blue, event).json()["duplicate"] is False
    assert send(client, green, event).json()["duplicate"] is False


def test_a_batch_is_stored_whole_or_not_at_all(client: Client, blue: Shop) -> None:
    events = [EVENT, {**EVENT, "interaction_type": "stare"}, {**EVENT, "interaction_type": "rating"}]
    answer = send(client, blue, {"events": events})
    assert answer.status_code == 422
    details = answer.json()["error"]["details"]
    assert [d["field"] for d in details] == ["events.1.interaction_type", "events.2.rating"]
    assert "view, click, add_to_cart, purchase, rating, like, dislike" in details[0]["message"]
    assert stored(blue) == []


def test_a_thousand_events_at_once_and_no_more(client: Client, blue: Shop) -> None:
    events = [{**EVENT, "item_id": f"i{n}"} for n in range(1001)]
    assert send(client, blue, {"events": events}).status_code == 422
    answer = send(client, blue, {"events": events[:1000]})
    assert (answer.status_code, answer.json()["tracked"]) == (200, 1000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": " "}, "user_id"),
        ({"item_id": None}, "item_id"),
        ({"interaction_type": "looked"}, "interaction_type"),
        ({"interaction_type": "rating"}, "rating"),
        ({"interaction_type": "rating", "rating": 11}, "rating"),
        ({"rating": "good"}, "rating"),
        ({"timestamp": "2024-06-03T00:00:00Z"}, "timestamp"),
        ({"timestamp": "1980-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"price": -1}, "price"),
        ({"usr": "u1"}, "usr"),
    ],
)
def test_what_is_wrong_is_named(client: Client, blue: Shop, change: dict[str, Any], field: str) -> None:
    answer = send(client, blue, {**EVENT, **change})
    assert answer.status_code == 422, answer.text
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]
    assert stored(blue) == []


def test_a_bare_list_is_a_batch(client: Client, blue: Shop) -> None:
    answer = send(client, blue, [EVENT, {**EVENT, "item_id": "b2"}])
    assert (answer.status_code, answer.json()["tracked"]) == (200, 2)
    assert [event["item_id"] for event in stored(blue)] == ["b1", "b2"]
    refused = send(client, blue, [EVENT, {**EVENT, "price": -1}])
    assert [each["field"] for each in refused.json()["error"]["details"]] == ["events.1.price"]


def test_nan_in_metadata_is_refused(client: Client, blue: Shop) -> None:
    body = '{"user_id":"u1","item_id":"b1","interaction_type":"view","metadata":{"a":NaN}}'
    answer = client.post("/events", content=body, headers={**blue.headers, "Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert stored(blue) == []


def test_an_impression_needs_no_item(client: Client, blue: Shop) -> None:
    body = {"user_id": "u1", "interaction_type": "recommendations_shown", "metadata": {"items": ["b1", "b2"]}}
    assert send(client, blue, body).status_code == 200
    (kept,) = stored(blue)
    assert (kept["interaction_type"], kept["item_id"], json.loads(kept["extra"])) == (
        "impression",
        None,
        {"metadata": {"items": ["b1", "b2"]}},
    )


def test_a_file_sent_to_the_same_address_is_an_upload(client: Client, blue: Shop) -> None:
    file = "user_id,item_id,interaction_type,timestamp\nu1,b1,view,2024-05-01T00:00:00Z\n"
    answer = client.post("/api/v1/interactions", files={"file": ("x.csv", file)}, headers=blue.headers)
    assert (answer.status_code, answer.json()["rows_accepted"]) == (200, 1)
    assert stored(blue) == []


def test_numbers_are_taken_as_ids(client: Client, blue: Shop) -> None:
    assert send(client, blue, {**EVENT, "user_id": 17}).status_code == 200
    assert stored(blue)[0]["user_id"] == "17"
