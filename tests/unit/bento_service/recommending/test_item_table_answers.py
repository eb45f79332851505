"""What the service answers from a release with an item table; the other suites of answers run for one, too."""

from __future__ import annotations

from typing import Any

import pytest

from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop, open_shop


@pytest.fixture(params=["item_knn", "ease"])
def table_shop(request: pytest.FixtureRequest, db: ControlDb, lake: Lake) -> Shop:
    """`u1` has item 1. Items speak for each other by the products of the vectors: 1 for 2 (.9), 3 (.8) and 5 (.1)."""
    shop = open_shop("blue", lake=lake, db=db, prefix="b", algorithm=request.param)
    shop.release()
    return shop


def ask(client: Client, shop: Shop, path: str = "", **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/recommendations{path}", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def sources(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["item_id"], item["source"]) for item in answer["recommendations"]]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def test_a_known_user(client: Client, table_shop: Shop) -> None:
    answer = ask(client, table_shop, user_id="u1", count=5)
    assert sources(answer) == [(item, "model") for item in ("b2", "b3", "b5", "b4", "b6")]
    metadata = answer["metadata"]
    assert (metadata["algorithm"], metadata["degraded"], metadata["fallback_reason"]) == (
        table_shop.algorithm,
        False,
        None,
    )
    assert metadata["model_version"] == f"{table_shop.algorithm}-{table_shop.versions[0]}"
    scores = [item["score"] for item in answer["recommendations"]]
    assert scores == sorted(scores, reverse=True) and 1 > scores[0] > scores[2] > scores[3] == scores[4] == 0.5
    assert [item["reason"] for item in answer["recommendations"]][2:4] == [
        "Because of your interest in Title b1",
        "Recommended for you",  # item 1 says nothing of item 4
    ]


def test_events_move_a_known_user_and_make_a_new_one(client: Client, table_shop: Shop) -> None:
    for user, source in (("u1", "model"), ("nobody", "fold_in")):
        for _ in range(3):
            event = {"user_id": user, "item_id": "b4", "interaction_type": "view"}
            assert client.post("/api/v1/interactions", json=event, headers=table_shop.headers).status_code == 200
        answer = ask(client, table_shop, user_id=user, count=2)
        assert sources(answer) == [("b5", source), ("b6", source)]
        assert answer["recommendations"][0]["reason"] == "Because of your interest in Title b4"
    assert sources(ask(client, table_shop, recent_events=[{"item_id": "b4"}], count=1)) == [("b5", "fold_in")]


def test_a_dislike_speaks_against_what_its_item_speaks_for(client: Client, table_shop: Shop) -> None:
    orders = [
        ids(ask(client, table_shop, count=5, recent_events=[{"item_id": "b1", "interaction_type": each}]))
        for each in ("like", "dislike")
    ]
    assert orders == [["b2", "b3", "b5", "b4", "b6"], ["b4", "b6", "b5", "b3", "b2"]]


def test_a_user_without_a_history_gets_what_is_popular(client: Client, table_shop: Shop) -> None:
    answer = ask(client, table_shop, user_id="ü 2/x", count=2)
    assert sources(answer) == [("b6", "popular"), ("b5", "popular")]
    assert answer["metadata"]["fallback_reason"] == "user_without_vector"


def test_similar_items_are_a_row_of_the_table(client: Client, table_shop: Shop) -> None:
    answer = ask(client, table_shop, "/similar", item_id="b1", count=4)
    assert [item["item_id"] for item in answer["similar_items"]] == ["b2", "b3", "b5", "b6"]
    scores = [item["similarity_score"] for item in answer["similar_items"]]
    assert scores[:3] == pytest.approx([1.0, 8 / 9, 1 / 9])
    assert scores[3] <= scores[2]
    assert answer["metadata"]["algorithm"] == table_shop.algorithm


def test_the_receipt_and_the_place_agree_with_the_answer(client: Client, table_shop: Shop) -> None:
    answer = ask(client, table_shop, user_id="u1", count=3)
    path = f"/api/v1/recommendations/{answer['recommendation_id']}/receipt"
    receipt = client.get(path, headers=table_shop.headers).json()
    assert [(item["item_id"], item["score"], item["source"]) for item in receipt["items"]] == [
        (item["item_id"], item["score"], item["source"]) for item in answer["recommendations"]
    ]
    assert receipt["lineage"]["algorithm"] == table_shop.algorithm
    for item in answer["recommendations"]:
        asked = {"user_id": "u1", "item_id": item["item_id"]}
        found = client.get("/api/v1/recommendations/why-not", params=asked, headers=table_shop.headers).json()
        assert (found["status"], found["rank"], found["source"]) == ("ranked", item["rank"], "model")


@pytest.mark.parametrize("more", [{}, {"diversity": 1.0}, {"max_per_category": 1}, {"exclude_seen": False}])
def test_hostile_events_are_answered(client: Client, table_shop: Shop, more: dict[str, Any]) -> None:
    """As many events as a request may hold: unknown ones, repeated ones, and as many against an item as for it."""
    recent = [{"item_id": ("b1", "b2", "no such item", "ё" * 120)[each % 4]} for each in range(100)]
    against = [{"item_id": ("b1", "b2")[each % 2], "interaction_type": "dislike"} for each in range(50)]
    for events in (recent + against, recent + 2 * against, 200 * against[:1]):
        answer = ask(client, table_shop, user_id="u1", recent_events=events, count=6, **more)
        assert set(ids(answer)) <= {f"b{number}" for number in range(1, 7)}
        assert answer["recommendations"]
        if events[0] in against:  # 200 dislikes of item 1: what it speaks for comes last
            assert "b1" not in ids(answer)
