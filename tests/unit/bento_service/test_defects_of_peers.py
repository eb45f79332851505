"""What other recommendation services get wrong, asked of the whole service over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

EVERY_ITEM = {f"b{number}" for number in range(1, 7)}


def ask(client: Client, shop: Shop, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def everything_shown(client: Client, shop: Shop, user: str) -> set[str]:
    """Ids in the answers of every route that shows items to this user."""
    batch = {"requests": [{"user_id": user, "count": 100, "exclude_seen": False}]}
    similar = client.post("/api/v1/recommendations/similar", json={"item_id": "b5"}, headers=shop.headers).json()
    several = client.post("/api/v1/recommendations/batch", json=batch, headers=shop.headers).json()
    short = client.get(f"/recommend/{user}?k=100", headers=shop.headers).json()
    native = ask(client, shop, user_id=user, count=100, exclude_seen=False)
    alike = {item["item_id"] for item in similar["similar_items"]}
    return {*ids(several["results"][0]["answer"]), *ids(short), *ids(native), *alike}


@pytest.mark.parametrize("user", ["u1", "ü 2/x", "nobody"])
def test_more_items_than_there_are_end_and_are_not_filled_with_nothing(client: Client, blue: Shop, user: str) -> None:
    found = ids(ask(client, blue, user_id=user, count=100))
    assert len(found) == len(set(found)) >= 5
    assert set(found) <= EVERY_ITEM  # no −1, no null, no last row of the index


@pytest.mark.parametrize("count", [1, 2, 5])
def test_pages_repeat_nothing_and_leave_nothing_out(client: Client, blue: Shop, count: int) -> None:
    shown: list[str] = []
    cursor = None
    for page in range(9):
        answer = ask(client, blue, user_id="u1", count=count, **({"cursor": cursor} if cursor else {}))
        shown += ids(answer)
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        if page == 1:  # what happens between two pages moves the list, and repeats nothing
            seen = {"user_id": "u1", "item_id": shown[0], "interaction_type": "view"}
            assert client.post("/events", json=seen, headers=blue.headers).status_code == 200
    assert len(shown) == len(set(shown))
    assert set(shown) == EVERY_ITEM - {"b1"}


def test_what_is_hidden_or_deleted_is_in_no_answer_of_any_route(client: Client, blue: Shop) -> None:
    assert {"b2", "b4"} <= everything_shown(client, blue, "u1")
    assert client.request("DELETE", "/api/v1/items/b2", headers=blue.headers).status_code == 200
    rule = {"kind": "hide", "target": {"item_ids": ["b4"]}}
    made = client.post("/api/v1/rules", json=rule, headers=blue.headers)
    assert made.status_code in (200, 201), made.text
    assert everything_shown(client, blue, "u1") == EVERY_ITEM - {"b2", "b4"}


def test_neither_a_new_user_nor_a_new_item_nor_a_user_who_has_seen_it_all_gets_nothing(
    client: Client, blue: Shop
) -> None:
    for body in ({}, {"user_id": "new"}, {"session_id": "new"}, {"user_id": "new", "filters": {"category": "Audio"}}):
        assert ids(ask(client, blue, **body))
    put = client.post(
        "/api/v1/items", json={"item_id": "fresh", "title": "Fresh", "category": "Audio"}, headers=blue.headers
    )
    assert put.status_code == 200, put.text
    similar = client.post("/api/v1/recommendations/similar", json={"item_id": "fresh"}, headers=blue.headers)
    assert similar.json()["similar_items"]
    events = [{"user_id": "u1", "item_id": item, "interaction_type": "view"} for item in (*EVERY_ITEM, "fresh")]
    assert client.post("/api/v1/interactions", json={"events": events}, headers=blue.headers).status_code == 200
    again = ask(client, blue, user_id="u1")
    assert ids(again)
    assert (again["metadata"]["fallback_reason"], again["metadata"]["degraded"]) == ("all_seen", True)


def test_an_event_that_is_sent_again_counts_once(client: Client, blue: Shop) -> None:
    blue.release(suffix="00000002", cold_start=True)
    other = {"user_id": "new", "item_id": "b1", "interaction_type": "view", "event_id": "other"}
    event = {"user_id": "new", "item_id": "b5", "interaction_type": "view", "event_id": "e1"}
    for body in (event, other):
        client.post("/events", json=body, headers=blue.headers)
    before = [(item["item_id"], item["score"]) for item in ask(client, blue, user_id="new")["recommendations"]]
    for _ in range(3):
        assert client.post("/events", json=event, headers=blue.headers).json()["duplicate"] is True
    after = [(item["item_id"], item["score"]) for item in ask(client, blue, user_id="new")["recommendations"]]
    assert after == before


def test_a_key_that_is_refused_is_in_no_log(client: Client, blue: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = blue.key[:-1] + ("a" if blue.key[-1] != "a" else "b")
    refused = client.post("/api/v1/recommendations", json={}, headers={"Authorization": f"Bearer {wrong}"})
    assert refused.status_code == 401
    said = capsys.readouterr()
    assert '"status": 401' in said.out
    assert wrong[8:] not in said.out + said.err + refused.text
