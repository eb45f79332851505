"""What a key of each scope may do, as one table over every route, and what a key in a page can learn and do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from resources.access.key_kinds import BROWSER_SCOPES
from resources.access.scopes import PLATFORM, SCOPES, permissions_of
from resources.release.manifest import UploadReference
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import MAX_UPLOAD_BYTES, NOW, Shop

NOBODY_IN_PARTICULAR = "none"
REFUSALS = "lacks the scope|is none: log in|for the operator of this service|an API key is none"
"""What a key is told of routes that take another scope, a member, or an operator."""
MEMBER = "member"
"""A person who has logged in, about themselves: no key has that."""
MATRIX = {
    "POST /api/v1/recommendations": "recommendations:read",
    "GET /recommend/{user_id}": "recommendations:read",
    "POST /api/v1/recommendations/batch": "recommendations:read",
    "POST /api/v1/recommendations/similar": "recommendations:read",
    "GET /api/v1/recommendations/why-not": "recommendations:read",
    "GET /api/v1/recommendations/{recommendation_id}/receipt": "recommendations:read",
    "POST /api/v1/recommendations/exports": "analytics:read or admin",
    "GET /api/v1/recommendations/exports": "analytics:read or admin",
    "GET /api/v1/recommendations/exports/{export_id}": "analytics:read or admin",
    "GET /api/v1/recommendations/exports/{export_id}/file": "analytics:read or admin",
    "DELETE /api/v1/recommendations/exports/{export_id}": "analytics:read or admin",
    "POST /api/v1/interactions": "interactions:write",
    "POST /events": "interactions:write",
    "POST /api/v1/items": "items:write",
    "GET /api/v1/items": "items:write",
    "GET /api/v1/items/{item_id}": "items:write",
    "PATCH /api/v1/items/{item_id}": "items:write",
    "DELETE /api/v1/items/{item_id}": "items:write",
    "GET /api/v1/rules": "items:write",
    "POST /api/v1/rules": "items:write",
    "GET /api/v1/rules/{rule_id}": "items:write",
    "PATCH /api/v1/rules/{rule_id}": "items:write",
    "DELETE /api/v1/rules/{rule_id}": "items:write",
    "POST /api/v1/upload/{kind}": "uploads:write",
    "GET /api/v1/uploads": "uploads:write",
    "GET /api/v1/uploads/jobs/{job_id}": "uploads:write",
    "GET /api/v1/uploads/{upload_id}": "uploads:write",
    "DELETE /api/v1/uploads/{upload_id}": "uploads:write",
    "GET /api/v1/uploads/{upload_id}/rejected": "uploads:write",
    "GET /api/v1/uploads/{upload_id}/trace": "uploads:write",
    "GET /api/v1/mappings/{kind}": "uploads:write",
    "PUT /api/v1/mappings/{kind}": "uploads:write",
    "DELETE /api/v1/mappings/{kind}": "uploads:write",
    "POST /api/v1/mappings/{kind}/propose": "uploads:write",
    "GET /api/v1/data-quality": "uploads:write or analytics:read",
    "GET /api/v1/readiness": "uploads:write or analytics:read",
    "POST /api/v1/train": "training:write",
    "POST /admin/train": "training:write",
    "POST /api/v1/reindex": "training:write",
    "POST /admin/reindex": "training:write",
    "GET /api/v1/training": "training:write",
    "GET /api/v1/training/{job_id}/progress": "training:write",
    "DELETE /api/v1/training/{job_id}": "training:write",
    "GET /api/v1/users/{user_id}/export": "admin",
    "DELETE /api/v1/users/{user_id}": "admin",
    "GET /api/v1/erasures/{erasure_id}": "admin",
    "GET /api/v1/api-keys": "keys:write",
    "POST /api/v1/api-keys": "keys:write",
    "PATCH /api/v1/api-keys/{key_id}": "keys:write",
    "DELETE /api/v1/api-keys/{key_id}": "keys:write",
    "POST /api/v1/api-keys/{key_id}/rotate": "keys:write",
    "GET /api/v1/admin/tenants": "platform",
    "POST /api/v1/admin/tenants": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}": "platform",
    "PATCH /api/v1/admin/tenants/{tenant_id}": "platform",
    "DELETE /api/v1/admin/tenants/{tenant_id}": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/summary": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/certificate": "platform",
    "POST /api/v1/admin/tenants/{tenant_id}/suspend": "platform or admin",
    "POST /api/v1/admin/tenants/{tenant_id}/resume": "platform",
    "POST /api/v1/admin/tenants/{tenant_id}/exports": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/exports/{archive_id}": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/exports/{archive_id}/file": "platform",
    "DELETE /api/v1/shop": "ownership:write",
    "POST /api/v1/shop/reopen": MEMBER,
    "GET /api/v1/shop/exports": "admin",
    "POST /api/v1/shop/exports": "admin",
    "GET /api/v1/shop/exports/{archive_id}": "admin",
    "GET /api/v1/shop/exports/{archive_id}/file": "admin",
    "GET /api/v1/plan": "analytics:read or admin",
    "POST /api/v1/plan/request": "billing:write or admin",
    "GET /api/v1/admin/plans": "platform",
    "GET /api/v1/admin/plans/{plan_id}": "platform",
    "PUT /api/v1/admin/plans/{plan_id}": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/plan": "platform",
    "PUT /api/v1/admin/tenants/{tenant_id}/plan": "platform",
    "DELETE /api/v1/admin/tenants/{tenant_id}/plan": "platform",
    "GET /api/v1/admin/tenants/{tenant_id}/quotas": "platform",
    "PUT /api/v1/admin/tenants/{tenant_id}/quotas/{meter}": "platform",
    "DELETE /api/v1/admin/tenants/{tenant_id}/quotas/{meter}": "platform",
    "GET /api/v1/webhooks": "webhooks:write",
    "POST /api/v1/webhooks": "webhooks:write",
    "GET /api/v1/webhooks/{webhook_id}": "webhooks:write",
    "PATCH /api/v1/webhooks/{webhook_id}": "webhooks:write",
    "DELETE /api/v1/webhooks/{webhook_id}": "webhooks:write",
    "POST /api/v1/webhooks/{webhook_id}/rotate-secret": "webhooks:write",
    "POST /api/v1/webhooks/{webhook_id}/test": "webhooks:write",
    "GET /api/v1/webhooks/{webhook_id}/deliveries": "webhooks:write",
    "POST /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry": "webhooks:write",
    "POST /api/v1/auth/signup": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/login": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/refresh": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/logout": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/password/change": MEMBER,
    "GET /api/v1/auth/me": MEMBER,
    "GET /api/v1/me": MEMBER,
    "PATCH /api/v1/me": MEMBER,
    "GET /api/v1/me/sessions": MEMBER,
    "DELETE /api/v1/me/sessions/{session_id}": MEMBER,
    "GET /api/v1/usage": "analytics:read",
    "GET /api/v1/invoices": "analytics:read",
    "GET /api/v1/invoices/{month}": "analytics:read",
    "GET /api/v1/admin/tenants/{tenant_id}/usage": "platform",
    "POST /api/v1/auth/password/forgot": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/forgot": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/password/reset": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/reset": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/verify": NOBODY_IN_PARTICULAR,
    "POST /api/v1/auth/verify/resend": MEMBER,
    "GET /api/v1/me/second-factor": MEMBER,
    "POST /api/v1/me/second-factor": MEMBER,
    "DELETE /api/v1/me/second-factor": MEMBER,
    "POST /api/v1/me/second-factor/confirm": MEMBER,
    "POST /api/v1/me/second-factor/recovery-codes": MEMBER,
    "GET /api/v1/invites": "members:read",
    "POST /api/v1/invites": "members:write",
    "DELETE /api/v1/invites/{invite_id}": "members:write",
    "POST /api/v1/invites/{invite_id}/resend": "members:write",
    "GET /api/v1/invites/token/{token}": NOBODY_IN_PARTICULAR,
    "POST /api/v1/invites/token/{token}/accept": NOBODY_IN_PARTICULAR,
    "GET /api/v1/members": "members:read",
    "PATCH /api/v1/members/{member_id}": "members:write",
    "DELETE /api/v1/members/{member_id}": "members:write",
    "POST /api/v1/members/leave": MEMBER,
    "POST /api/v1/ownership": "ownership:write",
    "GET /api/v1/admin/users": "platform or members:write",
    "POST /api/v1/admin/users": "platform or members:write",
    "GET /api/v1/admin/people": "platform",
    "POST /api/v1/admin/people": "platform",
    "DELETE /api/v1/admin/people/invites/{invite_id}": "platform",
    "PATCH /api/v1/admin/people/{member_id}": "platform",
    "DELETE /api/v1/admin/people/{member_id}": "platform",
    "DELETE /api/v1/admin/people/{member_id}/second-factor": "platform",
    "GET /api/v1/audit": "audit:read",
    "GET /api/v1/audit/export": "audit:read",
    "GET /api/v1/audit/verify": "audit:read",
    "GET /api/v1/admin/audit": "platform",
    "POST /api/v1/admin/audit/verify": "platform",
    "POST /api/v1/admin/impersonate": "platform",
    "POST /api/v1/admin/act": "platform",
    "DELETE /api/v1/admin/impersonate": MEMBER,
    "DELETE /api/v1/admin/act": MEMBER,
    "GET /health": NOBODY_IN_PARTICULAR,
    "GET /metrics": NOBODY_IN_PARTICULAR,
}
"""The scopes of which a key needs one. A file to the routes of events and items needs `uploads:write`, as any file."""
WITHOUT_PERMISSION = ("lacks the scope", "is none: log in", "for the operator")
WITH_A_FILE = ("/api/v1/interactions", "/api/v1/items")
ROWS = "user_id,item_id,interaction_type,timestamp\nu1,b1,view,2024-05-01\njane@example.com,b1,nonsense,2024-05-01\n"


def browser_key(shop: Shop) -> dict[str, str]:
    return shop.key_with(*BROWSER_SCOPES)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_the_matrix_has_every_route_of_the_document(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(MATRIX) == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_the_documentation_has_the_scopes_of_the_matrix() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z]+ /\S*)` \| ([^|]+?) \|", text, re.MULTILINE))
    assert {route: documented[route].replace("`", "") for route in MATRIX} == MATRIX


@pytest.mark.parametrize("scope", [*SCOPES, PLATFORM])
def test_a_key_of_one_scope_may_do_what_the_matrix_says_and_no_more(client: Client, blue: Shop, scope: str) -> None:
    headers = blue.key_with(scope)
    for route, wanted in MATRIX.items():
        method, template = route.split()
        path = re.sub(r"{\w+}", "no-such-thing", template)
        answer = client.request(method, path, headers={**headers, "Content-Type": "text/nothing"}, content=b"x")
        refused = answer.status_code == 403 and bool(re.search(REFUSALS, answer.text))
        may = not permissions_of({scope}).isdisjoint(wanted.split(" or "))
        assert refused == (wanted != NOBODY_IN_PARTICULAR and not may), (route, answer.text)
        assert answer.status_code < 500 or answer.status_code == 503, (route, answer.text)


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
