"""Repeat purchases over HTTP: what was learned, what the shop says of it, and what the request says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from resources.control_db.tenants import change_settings
from resources.release.manifest import RepeatCurve
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

CURVE = RepeatCurve(age=0, overdue=0, early=0, slope=-1, earliest_days=1)


@pytest.fixture
def grocery(blue: Shop) -> Shop:
    """`u1`, who has bought item 1 ten days before the newest interaction, is to buy it again."""
    columns = np.array([[2, 10, 7]], dtype=np.float32)
    written = replace(contents("b"), repeats=columns)
    manifest = draft(blue.tenant).model_copy(update={"repeats": CURVE, "events_until": NOW - timedelta(days=1)})
    blue.store.write("20240601T130000Z-00000009", written, manifest)
    blue.store.promote("20240601T130000Z-00000009", NOW, "test")
    return blue


def first(client: Client, shop: Shop, **body: Any) -> tuple[str, str]:
    answer = client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 1, **body}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    item = answer.json()["recommendations"][0]
    return item["item_id"], item["source"]


def test_what_was_learned_holds_until_the_request_says_otherwise(client: Client, grocery: Shop) -> None:
    assert first(client, grocery) == ("b1", "repeat")
    assert first(client, grocery, exclude_seen=True) == ("b2", "model")
    assert first(client, grocery, exclude_seen=False) == ("b1", "repeat")
    told = client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 1}, headers=grocery.headers).json()
    assert told["recommendations"][0]["reason"] == "Buy it again"
    receipt = client.get(f"/api/v1/recommendations/{told['recommendation_id']}/receipt", headers=grocery.headers)
    assert "repeat" in receipt.text


def test_the_shop_says_always_or_never_at_once(client: Client, grocery: Shop, blue: Shop) -> None:
    def say(value: str | None) -> None:
        change_settings(grocery.db, grocery.tenant, {"serving.exclude_seen": value}, now=NOW)

    assert first(client, grocery) == ("b1", "repeat")
    say("always")
    assert first(client, grocery) == ("b2", "model")
    assert first(client, grocery, exclude_seen=False) == ("b1", "repeat")
    say("never")
    assert first(client, grocery) == ("b1", "repeat")
    say(None)
    assert first(client, grocery) == ("b1", "repeat")


def test_a_shop_that_leaves_nothing_out_without_anything_learned(client: Client, blue: Shop) -> None:
    assert first(client, blue) == ("b2", "model")
    change_settings(blue.db, blue.tenant, {"serving.exclude_seen": "never"}, now=NOW)
    assert first(client, blue) == ("b1", "model")


@pytest.mark.parametrize(("kind", "stays"), [("view", True), ("purchase", False), ("add_to_cart", False)])
def test_what_was_bought_since_waits(client: Client, grocery: Shop, kind: str, stays: bool) -> None:
    event = {"user_id": "u1", "item_id": "b1", "interaction_type": kind}
    assert client.post("/api/v1/interactions", json=event, headers=grocery.headers).status_code == 200
    assert (first(client, grocery)[0] == "b1") is stays
    asked = {"user_id": "u1", "item_id": "b1"}
    found = client.get("/api/v1/recommendations/why-not", params=asked, headers=grocery.headers).json()
    assert found["status"] == ("ranked" if stays else "seen")


def test_what_a_request_brings_along_counts_likewise(client: Client, grocery: Shop) -> None:
    bought = [{"item_id": "b1", "interaction_type": "purchase"}]
    assert first(client, grocery, recent_events=bought)[0] != "b1"


def test_why_not_follows_the_shop(client: Client, grocery: Shop) -> None:
    def place(**query: Any) -> Any:
        asked = {"user_id": "u1", "item_id": "b1", **query}
        found = client.get("/api/v1/recommendations/why-not", params=asked, headers=grocery.headers).json()
        return found["status"], found["source"]

    assert place() == ("ranked", "repeat")
    assert place(exclude_seen="true") == ("seen", None)
    change_settings(grocery.db, grocery.tenant, {"serving.exclude_seen": "always"}, now=NOW)
    assert place() == ("seen", None)
