"""What is answered outside the service is what the service answers."""

from __future__ import annotations

from typing import Any

import pytest

from resources.base.errors import ItemNotFound
from resources.ranker.live import live_ranker
from resources.recommendations.offline import offline_answers
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop


@pytest.mark.parametrize("user", ["u1", "ü 2/x", "new", "nobody"])
def test_events_deleted_items_and_rules_count_as_in_an_answer(client: Client, blue: Shop, user: str) -> None:
    blue.release(suffix="00000002", cold_start=True)

    def post(path: str, body: dict[str, Any]) -> None:
        answer = client.post(path, json=body, headers=blue.headers)
        assert answer.status_code in (200, 201), answer.text

    post("/events", {"user_id": "u1", "item_id": "b2", "interaction_type": "view"})
    post("/events", {"user_id": "new", "item_id": "b5", "interaction_type": "like"})
    post("/api/v1/rules", {"kind": "hide", "target": {"item_ids": ["b6"]}})
    assert client.request("DELETE", "/api/v1/items/b3", headers=blue.headers).status_code == 200
    served = client.post("/api/v1/recommendations", json={"user_id": user}, headers=blue.headers).json()
    with offline_answers(blue.db, blue.tenant, live_ranker(blue.lake, blue.tenant), now=NOW) as answers:
        found = answers.recommend(user, 10)
        like = answers.similar("b1", 10)
        newest = answers.recommend(user, 10, strategy="newest")
        goes_with = answers.bundle(("b2", "b1"), 10)
        with pytest.raises(ItemNotFound):
            answers.similar("no such item", 1)
    shown = [(item.item_id, item.score, item.source, item.reason) for item in found.items]
    assert shown == [
        tuple(item[name] for name in ("item_id", "score", "source", "reason")) for item in served["recommendations"]
    ]
    assert {"b3", "b6"}.isdisjoint(item.item_id for each in (found, like, newest, goes_with) for item in each.items)
