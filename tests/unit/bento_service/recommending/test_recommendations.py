from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import change_settings
from resources.release.store import new_version
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

pytestmark = pytest.mark.databases


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["recommendations"]]


def ask(client: Client, shop: Shop, **body: Any) -> Any:
    return client.post("/api/v1/recommendations", json=body, headers=shop.headers)


def test_the_model_ranks_the_users_taste_first_and_leaves_out_what_was_seen(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, user_id="u1", count=2)
    assert ids(answer) == ["b2", "b3"]
    body = answer.json()
    first = body["recommendations"][0]
    assert first["title"] == first["name"] == "Title b2"
    assert (first["rank"], first["source"], first["category"], first["price"]) == (1, "model", "Audio", 20.0)
    assert 0 <= body["recommendations"][1]["score"] <= first["score"] <= 1
    assert first["reason"] == "Because of your interest in Title b1"
    metadata = body["metadata"]
    assert metadata["release_version"] == blue.versions[0]
    assert metadata["algorithm"] == blue.algorithm
    assert metadata["latency_ms"] > 0
    assert metadata["degraded"] is False
    assert metadata["fallback_reason"] is None
    assert metadata["freshness"] == {"events_until": "2024-06-01T12:00:00Z", "trained_at": "2024-06-01T12:00:00Z"}
    assert set(metadata) >= {"model_version", "cache_hit", "variant"}
    assert body["recommendation_id"]
    assert int(answer.headers["X-RateLimit-Limit"]) > int(answer.headers["X-RateLimit-Remaining"]) > 0
    assert body["next_cursor"] is not None  # four more items pass


def test_seen_items_are_included_on_request(client: Client, blue: Shop) -> None:
    assert ids(ask(client, blue, user_id="u1", count=1, exclude_seen=False)) == ["b1"]


def test_explain_off_gives_no_reasons(client: Client, blue: Shop) -> None:
    answer = ask(client, blue, user_id="u1", explain=False)
    assert {item["reason"] for item in answer.json()["recommendations"]} == {None}


def test_an_unknown_user_and_a_visitor_get_popular_items(client: Client, blue: Shop) -> None:
    for body in ({"user_id": "nobody"}, {}):
        answer = ask(client, blue, count=3, **body)
        assert ids(answer) == ["b6", "b5", "b4"]
        assert answer.json()["metadata"]["fallback_reason"] == "unknown_user"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "kitchen"}, ["b5", "b4", "b6"]),
        ({"max_price": 20}, ["b2"]),
        ({"exclude_ids": ["b2"], "category": "Audio"}, ["b3"]),
        ({"tags": ["blue"]}, []),
    ],
)
def test_filters(client: Client, blue: Shop, filters: dict[str, Any], expected: list[str]) -> None:
    assert ids(ask(client, blue, user_id="u1", filters=filters)) == expected


def test_an_event_counts_as_seen_in_the_next_answer(client: Client, blue: Shop) -> None:
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
    assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    assert ids(ask(client, blue, user_id="u1", count=1)) == ["b3"]


def test_an_impression_does_not_count_as_seen(client: Client, blue: Shop) -> None:
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "recommendations_shown"}
    assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    assert ids(ask(client, blue, user_id="u1", count=1)) == ["b2"]


def test_recent_events_of_the_request_count_as_seen(client: Client, blue: Shop) -> None:
    assert ids(ask(client, blue, user_id="u1", count=1, recent_events=[{"item_id": "b2"}])) == ["b3"]


def test_a_new_user_is_folded_in_from_the_events_of_the_request(client: Client, blue: Shop) -> None:
    blue.release(suffix="00000002", cold_start=True)
    answer = ask(client, blue, user_id="nobody", count=3, recent_events=[{"item_id": "b5", "interaction_type": "view"}])
    assert ids(answer) == ["b4", "b6", "b2"]
    assert {item["source"] for item in answer.json()["recommendations"]} == {"fold_in"}
    metadata = answer.json()["metadata"]
    assert (metadata["algorithm"], metadata["degraded"], metadata["fallback_reason"]) == (blue.algorithm, False, None)


def test_a_dislike_of_a_new_user_speaks_against_the_item(client: Client, blue: Shop) -> None:
    blue.release(suffix="00000002", cold_start=True)
    orders = [
        ids(ask(client, blue, count=5, recent_events=[{"item_id": "b1", "interaction_type": each}]))
        for each in ("like", "dislike")
    ]
    assert orders == [["b2", "b3", "b5", "b4", "b6"], ["b4", "b6", "b5", "b3", "b2"]]


def test_types_of_recent_events_are_in_the_words_of_the_tenant(client: Client, db: ControlDb, blue: Shop) -> None:
    blue.release(suffix="00000002", cold_start=True)
    change_settings(db, blue.tenant, {"interaction_types": {"Thumbs_Down": "dislike"}}, now=NOW)

    def recent(kind: str) -> Any:
        return ask(client, blue, count=5, recent_events=[{"item_id": "b1", "interaction_type": kind}])

    assert ids(recent(" thumbs_down")) == ids(recent("DISLIKE")) == ["b4", "b6", "b5", "b3", "b2"]
    assert recent("recommendations_shown").json()["metadata"]["fallback_reason"] == "unknown_user"  # and so no taste
    refused = recent("stroked")
    assert refused.status_code == 422
    (problem,) = refused.json()["error"]["details"]
    assert problem["field"] == "recent_events.0.interaction_type"
    assert "thumbs_down" in problem["message"]


def test_freshness_tells_of_the_newest_event_behind_the_answer(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    now = NOW + timedelta(hours=1)
    app = create_app(settings, db, lake, lambda: now)
    with client_of(app) as client:
        for time, until in (
            ("2024-06-01T12:30:00Z", "2024-06-01T12:30:00Z"),
            ("2024-05-01T00:00:00Z", "2024-06-01T12:30:00Z"),
            ("2024-06-02T00:00:00Z", "2024-06-01T13:00:00Z"),  # by a clock that is ahead: no later than the answer
        ):
            event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view", "timestamp": time}
            assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
            answer = ask(client, blue, user_id="u1").json()
            assert answer["metadata"]["freshness"]["events_until"] == until
        nobody = ask(client, blue, user_id="nobody").json()
        assert nobody["metadata"]["freshness"]["events_until"] == "2024-06-01T12:00:00Z"
    app.state.services.decisions.close()


def test_freshness_is_never_in_the_future(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    app = create_app(settings, db, lake, lambda: NOW - timedelta(hours=3))
    with client_of(app) as client:
        answer = ask(client, blue, user_id="u1").json()
        assert answer["metadata"]["freshness"]["events_until"] == "2024-06-01T09:00:00Z"
    app.state.services.decisions.close()


def test_an_item_that_nobody_has_met_is_found_by_its_content(client: Client, blue: Shop) -> None:
    blue.release(suffix="00000002", cold_start=True)
    found = {item["item_id"]: item for item in ask(client, blue, user_id="u1").json()["recommendations"]}
    assert (found["b3"]["rank"], found["b3"]["source"], found["b2"]["source"]) == (2, "content", "model")


def test_a_second_stage_that_cannot_be_used_degrades_the_answer(client: Client, blue: Shop) -> None:
    features = np.zeros((2, 1), np.float32), np.zeros((6, 1), np.float32)
    unusable = replace(
        contents("b"), second_stage=b"no trees", second_stage_users=features[0], second_stage_items=features[1]
    )
    version = new_version(NOW, "00000002")
    blue.store.write(version, unusable, draft(blue.tenant))
    blue.store.promote(version, NOW, "test")
    answer = ask(client, blue, user_id="u1", count=2)
    assert ids(answer) == ["b2", "b3"]
    metadata = answer.json()["metadata"]
    assert (metadata["release_version"], metadata["degraded"]) == (version, True)
    assert metadata["fallback_reason"] == "second_stage_unavailable"


def test_the_description_lists_sources_and_reasons_and_so_does_the_documentation(client: Client, blue: Shop) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    sources = schemas["Recommendation"]["properties"]["source"]["enum"]
    reasons = schemas["AnswerMetadata"]["properties"]["fallback_reason"]["anyOf"][0]["enum"]
    assert sources == ["model", "fold_in", "content", "popular", "trending", "pinned"]
    assert {"unknown_user", "second_stage_unavailable", "last_good_release"} < set(reasons)
    documented = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
    assert [name for name in (*sources, *reasons) if f"`{name}`" not in documented] == []


def test_the_short_form_answers_the_same(client: Client, blue: Shop) -> None:
    assert ids(client.get("/recommend/u1?k=2", headers=blue.headers)) == ["b2", "b3"]


def test_a_user_id_may_hold_any_letters(client: Client, blue: Shop) -> None:
    for path in ("/recommend/%C3%BC%202%2Fx?k=1", "/recommend/ü 2/x?k=1"):
        assert ids(client.get(path, headers=blue.headers)) == ["b4"]


def test_two_tenants_get_only_their_own(client: Client, blue: Shop, green: Shop) -> None:
    assert ids(ask(client, blue, user_id="u1", count=6, exclude_seen=False)) == [f"b{i}" for i in (1, 2, 3, 5, 4, 6)]
    assert ids(ask(client, green, user_id="u1", count=6, exclude_seen=False)) == [f"g{i}" for i in (1, 2, 3, 5, 4, 6)]
    event = {"user_id": "u1", "item_id": "g2", "interaction_type": "view"}
    client.post("/events", json=event, headers=blue.headers)
    assert ids(ask(client, green, user_id="u1", count=1)) == ["g2"]


def test_similar_items(client: Client, blue: Shop) -> None:
    answer = client.post("/api/v1/recommendations/similar", json={"item_id": "b1", "count": 2}, headers=blue.headers)
    assert [item["item_id"] for item in answer.json()["similar_items"]] == ["b3", "b2"]  # cosine 1 and 0.994
    assert answer.json()["similar_items"][0]["similarity_score"] == pytest.approx(1.0)
    assert answer.json()["metadata"]["release_version"] == blue.versions[0]


def test_similar_to_an_item_that_only_another_tenant_has(client: Client, blue: Shop, green: Shop) -> None:
    answer = client.post("/api/v1/recommendations/similar", json={"item_id": "g1"}, headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "item_not_found")


def test_every_documented_field_is_taken(client: Client, blue: Shop) -> None:
    answer = ask(
        client,
        blue,
        user_id="u1",
        session_id="s",
        tenant_id="blue",
        count=3,
        filters={
            "category": "Audio", "categories": ["Kitchen"], "brand": "Acme", "tags": ["new"], "min_price": 0,
            "max_price": 100, "exclude_ids": [], "include_unavailable": True,
        },
        context={"page": "home", "device": "phone", "current_item": "b1"},
        scenario="home",
        recent_events=[{"item_id": "b1", "interaction_type": "view", "timestamp": "2024-06-01T11:00:00Z"}],
        diversity=0.5,
        exclude_seen=True,
        explain=True,
        cursor=None,
    )  # fmt: skip
    assert len(ids(answer)) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 101}, "count"),
        ({"count": "many"}, "count"),
        ({"user_id": " "}, "user_id"),
        ({"user_id": "a\u0000b"}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"diversity": 2}, "diversity"),
        ({"filters": {"categroy": "Audio"}}, "filters.categroy"),
        ({"filters": {"min_price": 5, "max_price": 1}}, "filters"),
        ({"filters": {"min_price": -1}}, "filters.min_price"),
        ({"cursor": "abc"}, "cursor"),
        ({"unknown": 1}, "unknown"),
        ([], "body"),
    ],
)
def test_what_is_wrong_is_named(client: Client, blue: Shop, body: Any, field: str) -> None:
    answer = client.post("/api/v1/recommendations", json=body, headers=blue.headers)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert [detail["field"] for detail in error["details"]] == [field]


@pytest.mark.parametrize("path", ["/recommend/u1?k=0", "/recommend/u1?k=101", "/recommend/u1?k=x", "/recommend/%20"])
def test_the_short_form_checks_too(client: Client, blue: Shop, path: str) -> None:
    answer = client.get(path, headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_without_a_release_the_answer_says_what_to_do(client: Client, empty: Shop) -> None:
    for answer in (
        ask(client, empty, user_id="u1"),
        client.get("/recommend/u1", headers=empty.headers),
        client.post("/api/v1/recommendations/similar", json={"item_id": "x"}, headers=empty.headers),
    ):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_release"
        assert "Upload interactions" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) > 0
