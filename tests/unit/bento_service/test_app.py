"""What holds on every route: credentials, the error shape, request ids, the documents."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from bento_service.app import create_app
from bento_service.middleware import OPEN, needs_key
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake, write_json
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.credentials import Credentials
from tests.unit.bento_service.people import OF_PEOPLE
from tests.unit.bento_service.shop import NOW, Shop

PUBLIC = {
    *("/health", "/metrics", *OPEN),
    *("/api/v1/invites/token/{token}", "/api/v1/invites/token/{token}/accept"),
}


def operations(client: Client) -> list[tuple[str, str, dict[str, Any]]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path, op) for path, methods in paths.items() for method, op in methods.items()]


TRAINING = re.compile("/(train|training|reindex)($|/)")


def protected(client: Client) -> list[tuple[str, str]]:
    return [(method, re.sub(r"{\w+}", "x", path)) for method, path, _ in operations(client) if path not in PUBLIC]


def assert_error(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["message"]
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["content-type"] == "application/json"


def test_every_route_wants_a_credential(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    patient = settings.model_copy(update={"address_rate_limit": 0})  # a stranger who asks this much is told to wait
    with client_of(create_app(patient, db, lake, lambda: NOW)) as client:
        _wants_a_credential(client)


def _wants_a_credential(client: Client) -> None:
    walked = protected(client)
    assert len(walked) >= 10
    for method, path in walked:
        for headers in (
            {},
            {"Authorization": "Basic abc"},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer no"},
        ):
            answer = client.request(method, path, headers=headers, content=b"{not json")
            assert_error(answer, 401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_every_route_wants_its_scope_before_anything_else(client: Client, blue: Shop) -> None:
    elsewhere, training = blue.key_with("training:write"), blue.key_with("recommendations:read", "uploads:write")
    for method, path in protected(client):
        headers = training if TRAINING.search(path) else elsewhere
        assert_error(client.request(method, path, headers=headers, content=b"{not json"), 403, "forbidden")


def test_a_suspended_tenant_is_refused_everywhere(client: Client, blue: Shop) -> None:
    with blue.db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == "blue").values(status="suspended"))
    for method, path in protected(client):
        answer = client.request(method, path, headers=blue.headers)
        assert_error(answer, 403, "forbidden")
        assert "suspended" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/recommendations", {"tenant_id": "green"}),
        ("/api/v1/recommendations", {"tenant_id": "no-such-tenant"}),
        ("/api/v1/recommendations/similar", {"tenant_id": "green", "item_id": "nothing"}),
        ("/api/v1/recommendations/bundle", {"tenant_id": "green", "item_ids": ["nothing"]}),
        ("/api/v1/interactions", {"tenant_id": "green", "user_id": "u", "item_id": "i", "interaction_type": "view"}),
        ("/events", {"tenant_id": "green", "events": [{"user_id": "u", "item_id": "i", "interaction_type": "view"}]}),
        ("/events", {"events": [{"tenant_id": "green", "user_id": "u", "item_id": "i", "interaction_type": "view"}]}),
        ("/api/v1/train", {"tenant_id": "green"}),
        ("/admin/reindex", {"tenant_id": "green"}),
    ],
)
def test_a_tenant_id_in_the_body_must_agree(
    client: Client, blue: Shop, green: Shop, path: str, body: dict[str, Any]
) -> None:
    assert_error(client.post(path, json=body, headers=blue.headers), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/recommendations", "/api/v1/recommendations/similar", "/api/v1/recommendations/bundle", "/events"],
)
def test_bodies_that_cannot_be_read(client: Client, blue: Shop, path: str) -> None:
    json_headers = {**blue.headers, "Content-Type": "application/json"}
    for body in (b"", b"{", b"\xff\xfe", b'{"user_id": "\\ud800"}'):
        assert_error(client.post(path, content=body, headers=json_headers), 400, "malformed_request")
    assert_error(client.post(path, data={"a": "b"}, headers=blue.headers), 415, "unsupported_media_type")
    big = json.dumps({"user_id": "x" * (5 * 1024 * 1024)}).encode()
    assert_error(client.post(path, content=big, headers=json_headers), 413, "too_large")

    async def chunks() -> Any:
        for _ in range(50):
            yield b" " * 100_000

    assert_error(client.post(path, content=chunks(), headers=json_headers), 413, "too_large")


def test_unknown_routes_and_methods(client: Client) -> None:
    assert_error(client.get("/nothing"), 404, "not_found")
    assert_error(client.get("/api/v1/uploads//x/y"), 404, "not_found")
    answer = client.get("/api/v1/recommendations")
    assert_error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_request_id_is_taken_or_made(client: Client) -> None:
    assert client.get("/health", headers={"X-Request-ID": "shop-17:a.b_c"}).headers["X-Request-ID"] == "shop-17:a.b_c"
    for bad in ("", "a b", "x" * 129, 'a"b'):
        made = client.get("/nothing", headers={"X-Request-ID": bad})
        assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-ID"])
        assert made.json()["error"]["request_id"] == made.headers["X-Request-ID"]


def test_an_unexpected_error_tells_nothing_of_the_inside(app: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken() -> None:
        raise RuntimeError("secret path /srv/x")

    async def disk_full() -> None:
        raise OSError(28, "No space left on device", "/srv/x")

    async def no_file() -> None:
        raise FileNotFoundError(2, "No such file", "/srv/x")

    async def locked() -> None:
        raise OperationalError("SELECT secret", {}, Exception("database is locked"))

    for number, endpoint in enumerate((broken, disk_full, no_file, locked)):
        app.router.routes.insert(0, APIRoute(f"/broken/{number}", endpoint))
    with client_of(app) as client:
        answers = [client.get(f"/broken/{number}") for number in range(4)]
    assert_error(answers[0], 500, "internal_error")
    assert_error(answers[1], 503, "storage_full")
    assert_error(answers[2], 500, "internal_error")
    assert_error(answers[3], 503, "control_db_unavailable")
    assert not any("/srv" in answer.text or "secret" in answer.text for answer in answers)
    assert all("Retry-After" in answers[n].headers for n in (1, 3))
    assert "secret path" in capsys.readouterr().out


def test_the_log_has_the_request_id_and_neither_key_nor_body(
    client: Client, blue: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/recommend/private-user", headers={**blue.headers, "X-Request-ID": "r-1"})
    client.post("/events", json={"user_id": "private-user"}, headers=blue.headers)
    client.get("/recommend/x", headers={"Authorization": "Bearer sk_live_wrong_secret"})
    out = capsys.readouterr().out
    lines = [json.loads(text) for text in out.splitlines()]
    (line,) = (one for one in lines if one.get("request_id") == "r-1" and one["event"] == "request")
    assert line["route"] == "/recommend/{user_id}"
    assert (line["tenant"], line["status"], line["method"]) == ("blue", 200, "GET")
    assert blue.key not in out
    assert "wrong_secret" not in out
    assert "private-user" not in out


def test_the_openapi_document_is_written_once(client: Client, app: FastAPI) -> None:
    assert client.get("/openapi.json").headers["content-type"] == "application/json"
    assert app.state.openapi_json() is app.state.openapi_json()


def test_the_openapi_document(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for method, path, operation in operations(client):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert path in PUBLIC or operation["security"] == [{"HTTPBearer": []}], (method, path)
        assert path == "/health" or ("security" in operation) == needs_key(path), (method, path)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert {"RecommendationRequest", "SimilarRequest", "EventBody", "EventBatch"} <= references


def test_every_example_of_the_document_works(client: Client, app: FastAPI, blue: Shop) -> None:
    tried, credentials = 0, Credentials(app, blue)
    item = "b1"
    assert client.post("/api/v1/items", json={"item_id": item, "title": "One"}, headers=blue.headers).status_code == 200
    rule = {"kind": "hide", "target": {"item_ids": ["b6"]}}
    rule_id = client.post("/api/v1/rules", json=rule, headers=blue.headers).json()["id"]
    key = {"name": "web", "kind": "browser", "scopes": ["recommendations:read"], "origins": ["https://a.example.com"]}
    keys = [client.post("/api/v1/api-keys", json=key, headers=blue.headers).json()["id"] for _ in range(2)]
    hook = client.post("/api/v1/webhooks", json={"url": "https://a.example.com"}, headers=blue.headers).json()["id"]
    numbers = itertools.count()
    write_json(blue.lake.tenant(blue.tenant).trained_model, {})
    for method, template, operation in operations(client):
        if template.startswith(OF_PEOPLE):  # tests/unit/bento_service/accounts
            continue
        path = template.replace("{item_id}", item).replace("{rule_id}", rule_id).replace("{kind}", "interactions")
        path = path.replace("{key_id}", keys[path.endswith("/rotate")])  # what was rotated is not changed any more
        path = path.replace("{webhook_id}", hook).replace("{meter}", "calls").replace("{plan_id}", "our-plan")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {}).values():
            body = {**example["value"], **({"item_id": "b1"} if path.endswith("similar") else {})}
            body |= {"item_ids": [item]} if "item_ids" in body else {}
            body |= {"tenant_id": "blue"} if "tenant_id" in body else {}
            url = path
            if {"slug", "{tenant_id}"} & {*body, *path.split("/")}:  # one anew: it may be suspended, or erased
                tenant = TenantId(f"another-{next(numbers)}")
                body |= {"slug": tenant.value} if "slug" in body else {}
                url = path.replace("{tenant_id}", tenant.value)
                if url != path:
                    create_tenant(blue.db, tenant, name="Another shop", now=NOW)
            answer = client.request(method, url, json=body, headers=credentials.of(method, template))
            assert answer.status_code in (200, 201, 202), (url, answer.text)
            tried += 1
            if TRAINING.search(path):  # a tenant has one job at a time
                url = f"/api/v1/training/{answer.json()['job_id']}"
                assert client.request("DELETE", url, headers=blue.headers).status_code == 200
    assert tried >= 8


def test_the_docs_page_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text and "https://" not in page.text
    assert client.get("/").headers["location"] == "/docs"


def test_metrics_count_routes_by_template(client: Client, blue: Shop) -> None:
    for user in ("u1", "u2", "u3"):
        client.get(f"/recommend/{user}", headers=blue.headers)
    client.get("/nothing-1")
    text = client.get("/metrics").text
    assert 'recsaas_tenant_requests_total{route="/recommend/{user_id}",status="200",tenant="blue"} 3.0' in text
    assert 'recsaas_recommendation_fallbacks_total{reason="unknown_user",tenant="blue"} 2.0' in text
    assert 'route="unmatched"' in text
    assert "nothing-1" not in text and "u3" not in text
    assert "recsaas_releases_loaded 1.0" in text


def test_a_request_body_that_never_comes_is_given_up(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    import asyncio

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    impatient = settings.model_copy(update={"request_timeout_seconds": 0.05})
    with client_of(create_app(impatient, db, lake, lambda: NOW)) as client:
        assert_error(client.post("/events", content=slow(), headers=blue.headers), 408, "request_timeout")
