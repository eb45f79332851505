"""What goes with a basket, and lists by strategy, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop, open_shop

BUNDLE = "/api/v1/recommendations/bundle"


@pytest.fixture
def blue(db: ControlDb, lake: Lake) -> Shop:
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release(bundles=True)
    return shop


def ask(client: Client, shop: Shop, *items: str, **body: Any) -> Any:
    return client.post(BUNDLE, json={"item_ids": list(items), **body}, headers=shop.headers)


def recommended(client: Client, shop: Shop, **body: Any) -> Any:
    return client.post("/api/v1/recommendations", json=body, headers=shop.headers)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["recommendations"]]


def test_what_goes_with_a_basket_comes_first_with_its_reason(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, "b1", count=3)
    assert ids(answer) == ["b4", "b5", "b6"]
    first, _, last = answer.json()["recommendations"]
    assert (first["source"], first["reason"], first["rank"]) == ("bundle", "Often bought together with Title b1", 1)
    assert (first["title"], first["category"], first["price"]) == ("Title b4", "Kitchen", 40.0)
    assert (last["source"], last["reason"]) == ("popular", "Popular in Kitchen")  # the category that goes with audio
    metadata = answer.json()["metadata"]
    assert (metadata["algorithm"], metadata["degraded"], metadata["fallback_reason"]) == ("association", False, None)
    assert metadata["release_version"] == blue.versions[0]
    assert answer.json()["unknown_item_ids"] == []


def test_the_order_of_the_basket_does_not_matter_and_the_answer_is_kept(client: Client, blue: Shop) -> None:
    first, again = ask(client, blue, "b1", "b4", "b1"), ask(client, blue, "b4", "b1")
    assert first.json()["recommendations"] == again.json()["recommendations"]
    assert ids(first)[0] == "b5" and not {"b1", "b4"} & set(ids(first))
    assert (first.json()["metadata"]["cache_hit"], again.json()["metadata"]["cache_hit"]) == (False, True)
    assert first.json()["recommendation_id"] != again.json()["recommendation_id"]


def test_unknown_items_are_named_and_a_basket_of_them_alone_is_not_found(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, "zz", "b1", "g1", count=1)
    assert (ids(answer), answer.json()["unknown_item_ids"]) == (["b4"], ["g1", "zz"])
    refused = ask(client, blue, "g1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "item_not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"item_ids": []}, "item_ids"),
        ({}, "item_ids"),
        ({"item_ids": ["x"] * 101}, "item_ids"),
        ({"item_ids": ["b1"], "count": 101}, "count"),
        ({"item_ids": ["b1"], "offset": -1}, "offset"),
        ({"item_ids": ["b1"], "baskets": 1}, "baskets"),
    ],
)
def test_bodies_that_do_not_fit_are_refused(client: Client, blue: Shop, body: dict[str, Any], field: str) -> None:
    answer = client.post(BUNDLE, json=body, headers=blue.headers)
    assert answer.status_code == 422
    assert any(problem["field"].startswith(field) for problem in answer.json()["error"]["details"])


def test_filters_rules_and_changes_of_items_hold_at_once(client: Client, blue: Shop) -> None:
    assert ids(ask(client, blue, "b1", filters={"category": "Audio"})) == ["b3", "b2"]
    assert ids(ask(client, blue, "b1", filters={"min_price": 45}))[0] == "b5"
    rule = {"kind": "pin", "target": {"item_ids": ["b2"]}, "scenario": "basket"}
    assert client.post("/api/v1/rules", json=rule, headers=blue.headers).status_code == 201
    assert ids(ask(client, blue, "b1", count=2)) == ["b4", "b5"]
    assert ids(ask(client, blue, "b1", count=2, scenario="basket")) == ["b2", "b4"]
    assert client.request("DELETE", "/api/v1/items/b4", headers=blue.headers).status_code == 200
    assert ids(ask(client, blue, "b1", count=1)) == ["b5"]


def test_offset_goes_on_in_the_same_list(client: Client, blue: Shop) -> None:
    whole = ask(client, blue, "b1", count=4).json()["recommendations"]
    assert ask(client, blue, "b1", count=2, offset=2).json()["recommendations"] == whole[2:]


def test_what_a_user_dislikes_is_left_out_and_what_was_seen_on_request(client: Client, blue: Shop) -> None:
    for item, kind in (("b4", "dislike"), ("b5", "view")):
        event = {"user_id": "u1", "item_id": item, "interaction_type": kind}
        assert client.post("/events", json=event, headers=blue.headers).status_code == 200
    assert ids(ask(client, blue, "b1", user_id="u1", count=1)) == ["b5"]
    assert not {"b4", "b5"} & set(ids(ask(client, blue, "b1", user_id="u1", exclude_seen=True)))
    assert ids(ask(client, blue, "b1", count=2)) == ["b4", "b5"]


def test_no_reasons_on_request(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, "b1", explain=False)
    assert {item["reason"] for item in answer.json()["recommendations"]} == {None}


def test_a_receipt_says_what_it_was(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, "b1", count=1, offset=1, user_id="u1").json()
    blue_key = blue.headers
    receipt = client.get(f"/api/v1/recommendations/{answer['recommendation_id']}/receipt", headers=blue_key).json()
    assert (receipt["kind"], receipt["algorithm"], receipt["offset"]) == ("bundle", "association", 1)
    assert receipt["user_id"] == "u1" and [item["item_id"] for item in receipt["items"]] == ["b5"]


def test_tenants_have_baskets_of_their_own(client: Client, blue: Shop, green: Shop) -> None:
    assert ids(ask(client, blue, "b1", count=1)) == ["b4"]
    answer = ask(client, green, "g1", count=1)  # without a table
    assert answer.json()["metadata"]["fallback_reason"] == "no_association"
    assert ids(answer)[0].startswith("g")


def test_it_needs_the_scope_of_recommendations(client: Client, blue: Shop, empty: Shop) -> None:
    body = {"item_ids": ["b1"]}
    assert client.post(BUNDLE, json=body, headers=blue.key_with("analytics:read")).status_code == 403
    assert client.post(BUNDLE, json=body).status_code == 401
    assert client.post(BUNDLE, json=body, headers=empty.headers).json()["error"]["code"] == "no_release"


@pytest.mark.parametrize(
    ("strategy", "wanted", "source", "algorithm"),
    [
        ("popular", ["b6", "b5", "b4"], "popular", "popularity"),
        ("newest", ["b6", "b5", "b4"], "newest", "newest"),
        ("personal", ["b2", "b3", "b5"], "model", "lightgcn"),
    ],
)
def test_strategies(client: Client, blue: Shop, strategy: str, wanted: list[str], source: str, algorithm: str) -> None:
    answer = recommended(client, blue, user_id="u1", count=3, strategy=strategy)
    assert ids(answer) == wanted
    assert answer.json()["recommendations"][0]["source"] == source
    metadata = answer.json()["metadata"]
    assert (metadata["algorithm"], metadata["fallback_reason"]) == (algorithm, None)
    if strategy != "personal":
        assert "b1" not in ids(recommended(client, blue, user_id="u1", count=100, strategy=strategy))
        every = recommended(client, blue, user_id="u1", count=100, strategy=strategy, exclude_seen=False)
        assert ids(every)[-1] == "b1"


def test_strategies_have_pages_rules_and_answers_of_their_own(client: Client, blue: Shop) -> None:
    first = recommended(client, blue, count=2, strategy="newest").json()
    second = recommended(client, blue, count=9, strategy="newest", cursor=first["next_cursor"])
    assert ids(second) == ["b4", "b3", "b2", "b1"]
    other = recommended(client, blue, count=9, strategy="popular", cursor=first["next_cursor"])
    assert other.status_code == 422  # the cursor is of another request
    rule = {"kind": "hide", "target": {"item_ids": ["b6"]}}
    assert client.post("/api/v1/rules", json=rule, headers=blue.headers).status_code == 201
    assert ids(recommended(client, blue, count=1, strategy="newest")) == ["b5"]
    assert recommended(client, blue, strategy="cheapest").status_code == 422


def test_an_item_added_since_the_release_is_the_newest(client: Client, blue: Shop) -> None:
    item = {"item_id": "fresh", "title": "Fresh", "category": "Audio", "price": 1}
    assert client.post("/api/v1/items", json=item, headers=blue.headers).status_code in (200, 201)
    answer = recommended(client, blue, count=1, strategy="newest")
    assert ids(answer) == ["fresh"]
    assert answer.json()["recommendations"][0]["reason"] == "New in this shop"


def test_without_growth_popular_items_are_answered_and_that_is_said(client: Client, blue: Shop) -> None:
    answer = recommended(client, blue, count=2, strategy="trending")
    assert ids(answer) == ["b6", "b5"]
    assert answer.json()["metadata"]["fallback_reason"] == "no_listed_item"
