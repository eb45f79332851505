"""The routes of data quality and readiness, and the page of the models."""

from __future__ import annotations

from fastapi import FastAPI

from resources.base.settings import Settings
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

ITEMS = "item_id,title,price\ni1,Lamp,10\ni2,,20\n"
QUALITY, READINESS = "/api/v1/data-quality", "/api/v1/readiness"


def test_quality_and_readiness_are_of_the_keys_own_tenant(client: Client, blue: Shop, green: Shop) -> None:
    sent = client.post("/api/v1/upload/items", files={"file": ("a.csv", ITEMS)}, headers=blue.headers).json()
    answer = client.get(QUALITY, headers=blue.headers).json()
    (upload,) = answer["uploads"]
    assert (upload["upload_id"], upload["quality"]["validity"], upload["source"]) == (sent["upload_id"], 0.5, "report")
    assert answer["summary"]["validity_percent"] == 50
    assert answer["summary"]["freshness_hours"] is None
    assert "Download the rejected rows" in upload["quality"]["warnings"][0]
    assert client.get(QUALITY, headers=green.headers).json()["uploads"] == []
    ready = client.get(READINESS, headers=blue.headers).json()
    assert (ready["level"], ready["next_level"], ready["counts"]["interactions"]) == ("not_ready", "trainable", 0)
    assert ready["thresholds"]["trainable"]["interactions"] == 1


def test_either_scope_opens_them(client: Client, blue: Shop) -> None:
    for path in (QUALITY, READINESS):
        for scope, status in (("uploads:write", 200), ("analytics:read", 200), ("recommendations:read", 403)):
            assert client.get(path, headers=blue.key_with(scope)).status_code == status
        assert client.get(path).status_code == 401


def test_the_page_of_the_models_is_public_and_says_how_to_get_it(
    app: FastAPI, client: Client, settings: Settings
) -> None:
    missing = client.get("/data-docs")
    assert missing.status_code == 503
    assert "recsaas docs" in missing.json()["error"]["message"]
    settings.data_docs.parent.mkdir(parents=True)
    settings.data_docs.write_text("<html>models</html>")
    page = client.get("/data-docs")
    assert (page.status_code, page.text) == (200, "<html>models</html>")
    assert page.headers["cache-control"] == "public, max-age=300"
    assert "data-docs" in client.get("/docs").text
