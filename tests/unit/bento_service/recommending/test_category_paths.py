"""Categories as paths, wherever one is named: filters, batches, similar items, why-not, rules, lists of items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from resources.release.store import new_version
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

PATHS = ["Clothing > T-shirts", "Clothing > Shoes", "Clothing", "Clothing accessories", "Toys > Caf\u00e9", "Toys"]


@pytest.fixture
def shop(blue: Shop) -> Shop:
    version = new_version(NOW, "00000009")
    written = contents("b")
    items = written.items.with_columns(pl.Series("category", PATHS))
    blue.store.write(version, replace(written, items=items), draft(blue.tenant))
    blue.store.promote(version, NOW, "test")
    return blue


def post(client: Client, shop: Shop, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(f"/api/v1/{path}", json=body, headers=shop.headers)
    assert answer.status_code < 300, answer.text
    return answer.json()


def found(client: Client, shop: Shop, **filters: Any) -> set[str]:
    query = {"count": 6, "exclude_seen": False, "filters": filters}
    (batched,) = post(client, shop, "recommendations/batch", {"requests": [query]})["results"]
    alone = post(client, shop, "recommendations", query)
    ids = {each["item_id"] for each in alone["recommendations"]}
    assert ids == {each["item_id"] for each in batched["answer"]["recommendations"]}
    return ids


def test_a_filter_finds_what_is_below(client: Client, shop: Shop) -> None:
    assert found(client, shop, category="clothing") == {"b1", "b2", "b3"}
    assert found(client, shop, category="Clothing>T-shirts") == {"b1"}
    assert found(client, shop, categories=["Toys > Cafe\u0301", "Clothing > Shoes"]) == {"b2", "b5"}
    assert found(client, shop, category="Shoes") == set()
    alike = post(client, shop, "recommendations/similar", {"item_id": "b6", "filters": {"category": "Clothing"}})
    assert {each["item_id"] for each in alike["similar_items"]} == {"b1", "b2", "b3"}
    for item, status in (("b2", "ranked"), ("b4", "filtered")):
        why = client.get(
            f"/api/v1/recommendations/why-not?item_id={item}&category=Clothing", headers=shop.headers
        ).json()
        assert why["status"] == status


def test_changes_since_the_release_are_in_the_tree(client: Client, shop: Shop) -> None:
    post(client, shop, "items", {"item_id": "new", "title": "New", "category": "Clothing > Hats > Caps"})
    post(client, shop, "items", {"item_id": "b1", "title": "B1", "category": "Elsewhere"})
    assert found(client, shop, category="Clothing") == {"b2", "b3", "new"}
    assert found(client, shop, category="Clothing > Hats") == {"new"}


def test_a_rule_is_about_what_is_below(client: Client, shop: Shop) -> None:
    post(client, shop, "items", {"item_id": "new", "title": "New", "category": "Clothing > Hats"})
    post(client, shop, "items", {"item_id": "b2", "title": "B2", "category": "Elsewhere"})
    post(client, shop, "rules", {"kind": "hide", "target": {"category": "Clothing"}})
    assert found(client, shop) == {"b2", "b4", "b5", "b6"}


def test_a_list_of_items_has_what_is_below(client: Client, shop: Shop) -> None:
    rows = [{"item_id": f"i{n}", "title": "T", "category": path} for n, path in enumerate(PATHS)]
    post(client, shop, "items", {"items": rows})

    def listed(category: str) -> list[str]:
        answer = client.get("/api/v1/items", params={"category": category}, headers=shop.headers)
        return [each["item_id"] for each in answer.json()["items"]]

    assert listed("CLOTHING") == ["i0", "i1", "i2"]
    assert listed("Toys > Cafe\u0301") == ["i4"]
    assert listed("Nothing") == []
