"""What somebody did a moment ago is in the next answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

pytestmark = pytest.mark.databases


@pytest.fixture
def shop(blue: Shop) -> Shop:
    blue.release(suffix="00000002", cold_start=True)
    return blue


def ask(client: Client, shop: Shop, **body: Any) -> list[tuple[str, str]]:
    answer = client.post("/api/v1/recommendations", json={"count": 2, **body}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return [(item["item_id"], item["source"]) for item in answer.json()["recommendations"]]


def track(client: Client, shop: Shop, **event: Any) -> None:
    body = {"interaction_type": "view", **event}
    assert client.post("/events", json=body, headers=shop.headers).status_code == 200


def test_a_visit_is_folded_in_by_its_session(client: Client, shop: Shop) -> None:
    assert ask(client, shop, session_id="s1")[0] == ("b6", "popular")
    track(client, shop, user_id="visitor-17", session_id="s1", item_id="b1")
    assert ask(client, shop, session_id="s1")[0] == ("b2", "fold_in")
    assert ask(client, shop, session_id="s2")[0] == ("b6", "popular")


def test_a_visitor_who_gives_a_name_keeps_what_was_done_before_it(client: Client, shop: Shop) -> None:
    track(client, shop, user_id="visitor-17", session_id="s1", item_id="b1")
    track(client, shop, user_id="ann", item_id="b2")
    seen = {"b1", "b2"}
    answered = ask(client, shop, user_id="ann", session_id="s1", count=6)
    assert seen.isdisjoint(item for item, _ in answered)
    assert "b1" in dict(ask(client, shop, user_id="ann", count=6))


def test_impressions_are_no_taste(client: Client, shop: Shop) -> None:
    track(client, shop, user_id="v", session_id="s1", item_id="b1", interaction_type="recommendations_shown")
    assert ask(client, shop, session_id="s1")[0] == ("b6", "popular")


def test_the_current_item_is_left_out_and_tells_a_strangers_taste(client: Client, shop: Shop) -> None:
    answered = ask(client, shop, context={"current_item": "b4"}, count=6)
    assert answered[0] == ("b5", "fold_in")
    assert "b4" not in dict(answered)
    assert "b2" not in dict(ask(client, shop, user_id="u1", context={"current_item": "b2"}, count=6))
    # A known user's taste is known.
    assert ask(client, shop, user_id="u1", context={"current_item": "b4"})[0] == ("b2", "model")


def test_an_event_of_a_known_user_moves_the_next_answer(client: Client, shop: Shop) -> None:
    assert ask(client, shop, user_id="u1") == [("b2", "model"), ("b3", "content")]
    for _ in range(3):
        track(client, shop, user_id="u1", item_id="b4")
    assert ask(client, shop, user_id="u1")[0] == ("b5", "model")


def test_similar_leaves_out_what_the_user_has_seen(client: Client, shop: Shop) -> None:
    def alike(**body: Any) -> set[str]:
        asked = {"item_id": "b2", "count": 6, **body}
        answer = client.post("/api/v1/recommendations/similar", json=asked, headers=shop.headers)
        assert answer.status_code == 200, answer.text
        return {item["item_id"] for item in answer.json()["similar_items"]}

    assert alike() == {"b1", "b3", "b4", "b5", "b6"}
    assert alike(user_id="u1") == {"b3", "b4", "b5", "b6"}
    track(client, shop, user_id="u1", item_id="b3")
    assert alike(user_id="u1") == {"b4", "b5", "b6"}
    for item in ("b4", "b5", "b6"):
        track(client, shop, user_id="u1", item_id=item)
    assert alike(user_id="u1") == {"b1", "b3", "b4", "b5", "b6"}, (
        "an answer is not empty while something could be shown"
    )


@pytest.mark.parametrize("item", ["", 1.5, True, ["b1"], "x" * 300])
def test_a_current_item_is_an_id(client: Client, shop: Shop, item: object) -> None:
    body = {"context": {"current_item": item}}
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "context"


def test_what_a_visit_did_before_it_had_its_user_counts(client: Client, shop: Shop) -> None:
    track(client, shop, user_id="anonymous-7", session_id="s7", item_id="b2")
    assert ask(client, shop, user_id="u1")[0][0] == "b2"
    assert ask(client, shop, user_id="u1", session_id="s7")[0][0] == "b3"
