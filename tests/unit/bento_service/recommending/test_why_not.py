from __future__ import annotations

from typing import Any

import pytest

from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop


def why_not(client: Client, shop: Shop, **query: Any) -> Any:
    return client.get("/api/v1/recommendations/why-not", params=query, headers=shop.headers)


def test_a_ranked_item_has_the_rank_that_the_answer_gives_it(client: Client, blue: Shop) -> None:
    for user in ("u1", "ü 2/x", "nobody"):
        body = {"user_id": user, "count": 10}
        answer = client.post("/api/v1/recommendations", json=body, headers=blue.headers).json()
        for item in answer["recommendations"]:
            found = why_not(client, blue, user_id=user, item_id=item["item_id"]).json()
            assert (found["status"], found["rank"], found["source"]) == ("ranked", item["rank"], item["source"])
            assert found["release_version"] == blue.versions[0]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"item_id": "b1"}, "seen"),
        ({"item_id": "b1", "exclude_seen": "false"}, "ranked"),
        ({"item_id": "b4", "category": "Audio"}, "filtered"),
        ({"item_id": "b4", "max_price": "39.99"}, "filtered"),
        ({"item_id": "b4", "brand": "acme"}, "ranked"),
        ({"item_id": "b4", "categories": ["Audio", "Garden"]}, "filtered"),
        ({"item_id": "b4", "categories": ["Audio", "Kitchen"]}, "ranked"),
        ({"item_id": "b4", "tags": ["blue"]}, "filtered"),
        ({"item_id": "b4", "tags": ["blue", "red"]}, "ranked"),
        ({"item_id": "b4", "exclude_ids": ["b5", "b4"]}, "filtered"),
        ({"item_id": "b4", "max_per_category": "1"}, "filtered"),
        ({"item_id": "x"}, "unknown"),
    ],
)
def test_an_item_that_is_not_there(client: Client, blue: Shop, query: dict[str, str], status: str) -> None:
    answer = why_not(client, blue, user_id="u1", **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == status
    assert (answer.json()["rank"] is None) == (status != "ranked")
    assert answer.json()["message"]


def test_what_happened_since_the_release_counts(client: Client, blue: Shop) -> None:
    assert why_not(client, blue, user_id="u1", item_id="b2").json()["rank"] == 1
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
    client.post("/api/v1/interactions", json=event, headers=blue.headers)
    assert why_not(client, blue, user_id="u1", item_id="b2").json()["status"] == "seen"
    deleted = client.request("DELETE", "/api/v1/items/b3", headers=blue.headers)
    assert deleted.status_code < 300, deleted.text
    assert why_not(client, blue, user_id="u1", item_id="b3").json()["status"] == "unavailable"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"user_id": "u1"}, "item_id"),
        ({"user_id": "u1", "item_id": " "}, "item_id"),
        ({"user_id": " ", "item_id": "b1"}, "user_id"),
        ({"user": "u1", "item_id": "b1"}, "user"),
        ({"item_id": "b1", "min_price": "-1"}, "min_price"),
    ],
)
def test_a_question_that_is_none(client: Client, blue: Shop, query: dict[str, str], field: str) -> None:
    answer = why_not(client, blue, **query)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == field


def test_prices_the_wrong_way_round_are_refused(client: Client, blue: Shop) -> None:
    answer = why_not(client, blue, item_id="b1", min_price=2, max_price=1)
    assert answer.status_code == 422
