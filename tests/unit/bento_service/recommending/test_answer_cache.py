"""Repeated requests: what is kept, and what makes another answer of it."""

from __future__ import annotations

from typing import Any

from bento_service.recommending.answer_cache import AnswerCache, KeptAnswer
from bento_service.telemetry.metrics import Metrics
from resources.ranker.ranking import Ranking
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

POPULAR = Ranking(items=(), algorithm="popularity")


def ask(client: Client, shop: Shop, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_same_request_is_answered_from_the_cache_with_an_id_of_its_own(client: Client, blue: Shop) -> None:
    first, second = (ask(client, blue, user_id="u1", count=3) for _ in range(2))
    assert (first["metadata"]["cache_hit"], second["metadata"]["cache_hit"]) == (False, True)
    assert first["recommendations"] == second["recommendations"]
    assert first["next_cursor"] == second["next_cursor"]
    assert first["recommendation_id"] != second["recommendation_id"]
    assert 'recsaas_answer_cache_total{outcome="hit"} 1.0' in client.get("/metrics").text


def test_everything_an_answer_depends_on_makes_another_answer(client: Client, blue: Shop) -> None:
    asked = {"user_id": "u1", "count": 3}
    ask(client, blue, **asked)
    for change in (
        {"count": 2},
        {"user_id": "ü 2/x"},
        {"exclude_seen": False},
        {"explain": False},
        {"diversity": 0.5},
        {"max_per_category": 1},
        {"filters": {"brand": "acme"}},
        {"filters": {"max_price": 50}},
        {"context": {"current_item": "b2"}},
        {"recent_events": [{"item_id": "b4"}]},
        {"recent_events": [{"item_id": "b4", "interaction_type": "dislike"}]},
    ):
        assert ask(client, blue, **{**asked, **change})["metadata"]["cache_hit"] is False, change
    assert ask(client, blue, **asked)["metadata"]["cache_hit"] is True


def test_an_event_an_item_a_rule_and_a_release_make_another_answer(client: Client, blue: Shop) -> None:
    def hit() -> bool:
        return bool(ask(client, blue, user_id="u1", count=3)["metadata"]["cache_hit"])

    def write(path: str, body: dict[str, Any]) -> None:
        answer = client.post(path, json=body, headers=blue.headers)
        assert answer.status_code < 300, answer.text
        assert (hit(), hit()) == (False, True)

    assert (hit(), hit()) == (False, True)
    write("/api/v1/interactions", {"user_id": "u1", "item_id": "b2", "interaction_type": "view"})
    write("/api/v1/items", {"item_id": "b3", "title": "New title"})
    write("/api/v1/rules", {"kind": "hide", "target": {"item_ids": ["b4"]}})
    blue.release(suffix="00000002")
    assert (hit(), hit()) == (False, True)


def test_whoever_did_nothing_shares_one_answer_and_not_one_cursor(client: Client, blue: Shop) -> None:
    answers = [ask(client, blue, count=2, **who) for who in ({}, {"user_id": "x"}, {"user_id": "y", "session_id": "s"})]
    assert [answer["metadata"]["cache_hit"] for answer in answers] == [False, True, True]
    assert len({answer["next_cursor"] for answer in answers}) == 3
    for answer, who in zip(answers, ({}, {"user_id": "x"}, {"user_id": "y", "session_id": "s"}), strict=True):
        assert ask(client, blue, count=2, cursor=answer["next_cursor"], **who)["recommendations"][0]["rank"] == 3


def test_one_shop_is_never_answered_with_anothers(client: Client, blue: Shop, green: Shop) -> None:
    ask(client, blue, count=3)
    other = ask(client, green, count=3)
    assert other["metadata"]["cache_hit"] is False
    assert all(item["item_id"].startswith("g") for item in other["recommendations"])


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    cache = AnswerCache(Metrics(), max_bytes=3_000)
    for n in range(4):
        cache.put(n, KeptAnswer(POPULAR, "x" * 200))
        cache.get(0)
    assert len(cache) == 3
    assert cache.get(0) is not None and cache.get(1) is None
    cache.put("large", KeptAnswer(POPULAR, "x" * 3_000))
    assert cache.get("large") is None and len(cache) == 3
    off = AnswerCache(Metrics(), max_bytes=0)
    off.put(1, KeptAnswer(POPULAR, ""))
    assert off.get(1) is None


def test_a_question_that_names_many_items_counts_with_them() -> None:
    cache = AnswerCache(Metrics(), max_bytes=30_000)
    for n in range(4):
        cache.put((n, tuple(f"item-{i}" for i in range(200))), KeptAnswer(POPULAR, ""))
    assert len(cache) == 1
