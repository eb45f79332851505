from __future__ import annotations

from typing import Any

import pytest

from resources.release.manifest import Derivation, UploadReference
from resources.release.store import new_version
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

UPLOAD = UploadReference(id="upload-1", kind="items", sha256="0" * 64, rows=6)


def ask(client: Client, shop: Shop, path: str = "", **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/recommendations{path}", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def receipt(client: Client, shop: Shop, recommendation_id: str) -> Any:
    return client.get(f"/api/v1/recommendations/{recommendation_id}/receipt", headers=shop.headers)


def test_a_receipt_says_what_was_shown_and_what_it_comes_from(client: Client, blue: Shop) -> None:
    version = blue.release(suffix="00000002", uploads=(UPLOAD,))
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
    assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    answer = ask(client, blue, user_id="u1", session_id="s1", scenario="home", count=2)
    found = receipt(client, blue, answer["recommendation_id"])
    assert found.status_code == 200, found.text
    body = found.json()
    assert (body["user_id"], body["session_id"], body["scenario"], body["kind"]) == ("u1", "s1", "home", "recommend")
    assert body["items"] == [
        {
            "item_id": item["item_id"],
            "position": item["rank"],
            "score": item["score"],
            "source": item["source"],
            "propensity": 1.0,
        }
        for item in answer["recommendations"]
    ]
    assert (body["event_watermark"], body["events_seen"], body["offset"], body["rules"]) == (0, 1, 0, [])
    assert body["at"] == "2024-06-01T12:00:00Z"
    assert body["release_version"] == version
    assert body["lineage"] == {
        "release_version": version,
        "model_run": "0",
        "algorithm": blue.algorithm,
        "training_set_fingerprint": "0",
        "dbt_invocation_id": "0",
        "dbt_project_hash": "0",
        "code_version": "0",
        "uploads": [UPLOAD.model_dump()],
        "event_watermark": 0,
        "item_watermark": 0,
        "trained_at": "2024-06-01T12:00:00Z",
        "events_until": "2024-06-01T12:00:00Z",
        "gate": {"outcome": "passed", "reasons": []},
        "erased_copy": None,
    }


def test_every_answer_has_its_own_receipt(client: Client, blue: Shop) -> None:
    first = ask(client, blue, user_id="u1", count=2)
    second = ask(client, blue, user_id="u1", count=2, cursor=first["next_cursor"])
    again = ask(client, blue, user_id="u1", count=2)
    assert again["metadata"]["cache_hit"] is True
    alike = ask(client, blue, "/similar", item_id="b1", count=2)
    found = [receipt(client, blue, each["recommendation_id"]).json() for each in (first, second, again, alike)]
    assert [each["offset"] for each in found] == [0, 2, 0, 0]
    assert [item["position"] for item in found[1]["items"]] == [3, 4]
    assert found[0]["items"] == found[2]["items"]
    assert (found[3]["kind"], [item["item_id"] for item in found[3]["items"]]) == ("similar", ["b3", "b2"])
    assert len({each["recommendation_id"] for each in found}) == 4


def test_no_receipt_for_another_tenant_or_an_unknown_id(client: Client, blue: Shop, green: Shop) -> None:
    mine = ask(client, blue, user_id="u1")["recommendation_id"]
    for shop, recommendation_id in ((green, mine), (blue, "0" * 32), (blue, "nonsense")):
        answer = receipt(client, shop, recommendation_id)
        assert answer.status_code == 404
        assert f"Tenant {shop.tenant} has no recommendation" in answer.json()["error"]["message"]
    answer = client.get(f"/api/v1/recommendations/{mine}/receipt", headers=blue.key_with("interactions:write"))
    assert answer.status_code == 403


@pytest.mark.parametrize("copied", [True, False])
def test_the_lineage_of_a_release_that_was_replaced_by_its_copy(client: Client, blue: Shop, copied: bool) -> None:
    answer = ask(client, blue, user_id="u1")
    old, copy = blue.versions[0], new_version(NOW, "00000003")
    if copied:
        derived = draft(blue.tenant).model_copy(update={"derived_from": Derivation(release=old, erasure="erasure-1")})
        blue.store.write(copy, contents("b"), derived)
    (blue.directory(old) / "manifest.json").unlink()
    lineage = receipt(client, blue, answer["recommendation_id"]).json()["lineage"]
    if copied:
        assert (lineage["release_version"], lineage["erased_copy"]) == (old, copy)
    else:
        assert lineage is None


def test_an_erased_user_has_no_receipts(client: Client, blue: Shop) -> None:
    answers = [ask(client, blue, user_id=user) for user in ("u1", "ü 2/x")]
    exported = client.get("/api/v1/users/u1/export", headers=blue.headers).json()
    assert [each["recommendation_id"] for each in exported["decisions"]] == [answers[0]["recommendation_id"]]
    assert client.request("DELETE", "/api/v1/users/u1", headers=blue.headers).status_code == 200
    gone, kept = (receipt(client, blue, answer["recommendation_id"]).status_code for answer in answers)
    assert (gone, kept) == (404, 200)
