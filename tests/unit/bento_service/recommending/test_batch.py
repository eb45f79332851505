from __future__ import annotations

from typing import Any

import pytest

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop


def batch(client: Client, shop: Shop, *requests: dict[str, Any]) -> Any:
    return client.post("/api/v1/recommendations/batch", json={"requests": list(requests)}, headers=shop.headers)


def test_each_request_has_its_answer_or_its_error_in_its_place(client: Client, blue: Shop) -> None:
    answer = batch(
        client,
        blue,
        {"user_id": "u1", "count": 2},
        {"user_id": "u1", "count": 0},
        {"user_id": "u1", "tenant_id": "green"},
        {"user_id": "u1", "cursor": "nonsense"},
        {"user_id": "ü 2/x", "count": 1},
    )
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [200, 422, 403, 422, 200]
    assert [item["item_id"] for item in results[0]["answer"]["recommendations"]] == ["b2", "b3"]
    assert results[0]["answer"]["recommendation_id"] != results[4]["answer"]["recommendation_id"]
    assert results[0]["error"] is None
    assert results[1]["answer"] is None
    error = results[1]["error"]
    assert (error["code"], error["details"][0]["field"]) == ("invalid_request", "count")
    assert error["request_id"] == answer.headers["x-request-id"]
    assert results[3]["error"]["details"][0]["field"] == "cursor"


def test_a_batch_answers_what_single_requests_answer(client: Client, blue: Shop) -> None:
    asked: list[dict[str, Any]] = [
        {"user_id": "u1", "count": 3},
        {"count": 2, "filters": {"category": "kitchen"}},
        {"user_id": "new", "recent_events": [{"item_id": "b4", "timestamp": "2024-06-01T00:00:00Z"}]},
    ]
    together = batch(client, blue, *asked).json()["results"]
    for body, result in zip(asked, together, strict=True):
        alone = client.post("/api/v1/recommendations", json=body, headers=blue.headers).json()
        assert result["answer"]["recommendations"] == alone["recommendations"]


@pytest.mark.parametrize("requests", [[], [{}] * 101, ["u1"], None])
def test_a_batch_that_is_none_is_refused_whole(client: Client, blue: Shop, requests: Any) -> None:
    answer = client.post("/api/v1/recommendations/batch", json={"requests": requests}, headers=blue.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"].startswith("requests")


def test_a_tenant_without_a_release_has_the_same_error_in_every_place(client: Client, empty: Shop) -> None:
    results = batch(client, empty, {"user_id": "u1"}, {}).json()["results"]
    assert [(result["status"], result["error"]["code"]) for result in results] == [(503, "no_release")] * 2


def test_each_request_counts_against_the_rate_limit(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": 0.01}), db, lake, lambda: NOW)
    with client_of(app) as client:
        answer = batch(client, blue, *[{"count": 1}] * 3)
    assert answer.headers["x-ratelimit-remaining"] == "0"
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [200, 429, 429]
    assert results[2]["error"]["code"] == "rate_limited"
    app.state.services.decisions.close()
