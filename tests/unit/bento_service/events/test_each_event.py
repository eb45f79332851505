"""`?partial=true`: the good events of a request are stored, and each has its own result."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.control_db.tenants import change_settings
from resources.events.log import EventLog
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

EVENT = {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}
BAD: tuple[tuple[Any, str], ...] = (
    ({**EVENT, "interaction_type": "stroked"}, "events.{}.interaction_type"),
    ({**EVENT, "userId": "u2"}, "events.{}.userId"),
    ({**EVENT, "price": "much"}, "events.{}.price"),
    ({**EVENT, "timestamp": "2030-01-01T00:00:00Z"}, "events.{}.timestamp"),
    ({"item_id": "b1", "interaction_type": "view"}, "events.{}.user_id"),
    ({**EVENT, "metadata": {"x": "y" * 9000}}, "events.{}"),
    (7, "events.{}"),
    (None, "events.{}"),
)


def send(client: Client, shop: Shop, body: Any, path: str = "/api/v1/interactions", **headers: str) -> Any:
    return client.post(f"{path}?partial=true", json=body, headers={**shop.headers, **headers})


def stored(shop: Shop) -> list[Any]:
    return EventLog(shop.db).export_after(shop.tenant).rows(named=True)


@pytest.mark.parametrize("path", ["/api/v1/interactions", "/events"])
def test_the_good_ones_are_stored_and_each_has_a_result_in_order(client: Client, blue: Shop, path: str) -> None:
    sent = [event for bad, _ in BAD for event in (bad, EVENT)]
    for body in (sent, {"events": sent}):
        answer = send(client, blue, body, path)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["status"], said["tracked"], said["rejected"]) == ("partial", len(BAD), len(BAD))
        assert [each["status"] for each in said["events"]] == [422, 200] * len(BAD)
        for place, (_, field) in enumerate(BAD):
            error = said["events"][2 * place]["error"]
            assert error["code"] == "invalid_request"
            assert [each["field"] for each in error["details"]] == [field.format(2 * place)]
            assert error["details"][0]["message"] and error["message"]
    tracked = [each["interaction_id"] for each in said["events"] if each["status"] == 200]
    assert [event["event_id"] for event in stored(blue)][len(BAD) :] == tracked


def test_all_good_or_all_bad(client: Client, blue: Shop) -> None:
    assert send(client, blue, [EVENT]).json()["status"] == "tracked"
    assert send(client, blue, EVENT).json()["tracked"] == 1
    said = send(client, blue, {**EVENT, "interaction_type": "stroked"}).json()
    assert (said["status"], said["tracked"], len(said["events"])) == ("rejected", 0, 1)
    assert len(stored(blue)) == 2
    for body in ([], {"events": []}, "x", {"events": [EVENT], "other": 1}, [EVENT] * 1001):
        assert send(client, blue, body).status_code == 422


def test_all_or_none_stays_what_happens_without_it(client: Client, blue: Shop) -> None:
    body = [EVENT, {**EVENT, "interaction_type": "stroked"}]
    assert client.post("/api/v1/interactions", json=body, headers=blue.headers).status_code == 422
    assert stored(blue) == []


def test_a_retry_with_its_key_stores_what_was_wrong_before_and_nothing_twice(client: Client, blue: Shop) -> None:
    body = [EVENT, {**EVENT, "interaction_type": "stroked"}, {**EVENT, "event_id": "mine"}]
    key = {"Idempotency-Key": "k1"}
    first = send(client, blue, body, **key).json()
    again = send(client, blue, body, **key).json()
    assert (first["tracked"], again["tracked"], again["duplicates"]) == (2, 0, 2)
    assert [each["interaction_id"] for each in first["events"]] == [each["interaction_id"] for each in again["events"]]
    change_settings(blue.db, blue.tenant, {"interaction_types": {"stroked": "click"}}, now=datetime.now(UTC))
    mended = send(client, blue, body, **key).json()
    assert (mended["tracked"], mended["duplicates"], mended["rejected"]) == (1, 2, 0)
    other = send(client, blue, [{**EVENT, "item_id": "b2"}, *body[1:]], **key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert send(client, blue, body[:1], **key).status_code == 409
    assert len(stored(blue)) == 3


def test_an_id_of_another_event_is_told_and_leaves_the_others_alone(client: Client, blue: Shop) -> None:
    named = {**EVENT, "event_id": "order-1"}
    send(client, blue, named)
    body = [
        EVENT,
        {**named, "item_id": "b2"},
        named,
        {**EVENT, "event_id": "x"},
        {**EVENT, "event_id": "x", "item_id": "b3"},
    ]
    said = send(client, blue, body).json()
    assert [each["status"] for each in said["events"]] == [200, 409, 200, 200, 409]
    assert [each["duplicate"] for each in said["events"]] == [False, None, True, False, None]
    assert said["events"][1]["error"]["details"][0]["field"] == "events.1.event_id"
    assert said["events"][4]["error"]["details"][0]["field"] == "events.4.event_id"
    assert len(stored(blue)) == 3


def test_another_tenants_event_refuses_the_request(client: Client, blue: Shop) -> None:
    assert send(client, blue, [EVENT, {**EVENT, "tenant_id": "green"}]).status_code == 403
    assert stored(blue) == []


@pytest.mark.parametrize("query", ["validate_only=true", "validate_only&partial=true"])
def test_what_is_only_to_be_checked_is_not_stored(client: Client, blue: Shop, query: str) -> None:
    answer = client.post(f"/events?{query}", json=[EVENT, EVENT], headers=blue.headers)
    assert answer.status_code == 200, answer.text
    assert stored(blue) == []
    bad = client.post(f"/events?{query}", json=[EVENT, {**EVENT, "price": -1}], headers=blue.headers)
    assert "events.1.price" in bad.text
    assert stored(blue) == []
