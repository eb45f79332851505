"""Which scope a file needs, and what a key in a page can learn and do; every route: see test_every_credential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from resources.access.key_kinds import BROWSER_SCOPES
from resources.access.scopes import SCOPES
from resources.release.manifest import UploadReference
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import MAX_UPLOAD_BYTES, NOW, Shop

WITH_A_FILE = ("/api/v1/interactions", "/api/v1/items")
ROWS = "user_id,item_id,interaction_type,timestamp\nu1,b1,view,2024-05-01\njane@example.com,b1,nonsense,2024-05-01\n"


def browser_key(shop: Shop) -> dict[str, str]:
    return shop.key_with(*BROWSER_SCOPES)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("path", WITH_A_FILE)
def test_a_file_needs_uploads_write_wherever_it_is_sent(client: Client, blue: Shop, path: str, scope: str) -> None:
    rows = ROWS if "interactions" in path else "item_id,title,deleted\nb1,,true\n"
    answer = client.post(path, files={"file": ("x.csv", rows)}, headers=blue.key_with(scope))
    assert answer.status_code == (200 if scope == "uploads:write" else 403), answer.text
    assert len(client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"]) == (scope == "uploads:write")


def test_a_key_in_a_page_reads_nothing_of_a_file(client: Client, app: FastAPI, blue: Shop) -> None:
    sent = client.post("/api/v1/upload/interactions", files={"file": ("x.csv", ROWS)}, headers=blue.headers).json()
    assert "jane@example.com" in client.get(sent["rejected_url"], headers=blue.headers).text
    public = browser_key(blue)
    for path in (sent["rejected_url"], f"/api/v1/uploads/{sent['upload_id']}", "/api/v1/uploads/jobs/x"):
        answer = client.get(path, headers=public)
        assert code_of(answer) == (403, "forbidden")
        assert "jane" not in answer.text


def test_a_key_in_a_page_deletes_nothing(client: Client, blue: Shop) -> None:
    public = browser_key(blue)
    event = {"user_id": "u1", "item_id": "b1", "interaction_type": "view", "event_id": "e1"}
    assert client.post("/events", json=event, headers=public).status_code == 200
    assert client.post("/events", json={**event, "deleted": True}, headers=public).status_code == 422
    rows = "user_id,item_id,interaction_type,timestamp,event_id,deleted\nu1,b1,view,2024-06-01,e1,true\n"
    for path in ("/api/v1/interactions", "/api/v1/upload/interactions", "/api/v1/interactions?validate_only=true"):
        assert code_of(client.post(path, files={"file": ("x.csv", rows)}, headers=public)) == (403, "forbidden")
    export = client.get("/api/v1/users/u1/export", headers=blue.headers).json()
    assert [row["event_id"] for row in export["events"]] == ["e1"]


def test_a_receipt_for_a_key_in_a_page_names_no_user_and_no_upload(client: Client, blue: Shop) -> None:
    stored = store_upload(
        TenantStore(blue.lake, blue.db, blue.tenant),
        IncomingUpload(
            Kind.INTERACTIONS, _file(blue, ROWS), filename="secret-name.csv", origin="http", received_at=NOW
        ),
        UploadPolicy(TenantSettings(), max_bytes=MAX_UPLOAD_BYTES),
    )
    upload = UploadReference(id=stored.upload_id, kind="interactions", sha256="0" * 64, rows=1)
    blue.release(suffix="00000002", uploads=(upload,))
    asked = {"user_id": "jane@example.com", "session_id": "visit-4711"}
    answer = client.post("/api/v1/recommendations", json=asked, headers=blue.headers).json()
    url = f"/api/v1/recommendations/{answer['recommendation_id']}/receipt"
    shown = client.get(url, headers=browser_key(blue))
    assert shown.status_code == 200
    receipt = shown.json()
    assert (receipt["user_id"], receipt["session_id"], receipt["lineage"]["uploads"]) == (None, None, None)
    assert [item["item_id"] for item in receipt["items"]] == [i["item_id"] for i in answer["recommendations"]]
    assert not any(text in shown.text for text in ("jane", "visit-4711", stored.upload_id, "secret-name"))
    whole = client.get(url, headers=blue.key_with("recommendations:read", "analytics:read")).json()
    assert (whole["user_id"], whole["lineage"]["uploads"][0]["id"]) == ("jane@example.com", stored.upload_id)


def _file(shop: Shop, text: str) -> Path:
    path = Path(str(shop.lake.scratch)) / "x.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
