"""The demo shop's own routes, the widget's file, and pages of other origins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bento_service.app import create_app
from bento_service.demo.catalogue import DemoShop
from bento_service.http.cors import origins_of
from resources.access.key_kinds import BROWSER_SCOPES
from resources.base.settings import Settings
from resources.control_db.api_keys import authenticate, list_api_keys, revoke_api_key
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop

WIDGET = Path(__file__).parents[4] / "bento_service" / "static" / "recsaas.js"
PREFLIGHT = {"Origin": "https://shop.test", "Access-Control-Request-Method": "POST"}


def demo_of(settings: Settings, db: ControlDb, shop: Shop) -> DemoShop:
    return DemoShop(settings.model_copy(update={"demo_tenant": shop.tenant.value}), db, lambda: NOW)


@pytest.mark.parametrize("path", ["/shop", "/shop/config.json", "/shop/items", "/shop/items/b1"])
def test_there_is_no_shop_unless_a_tenant_is_named(client: Client, blue: Shop, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "RECSAAS_DEMO_TENANT" in answer.json()["error"]["message"]


def test_the_page_is_told_its_tenant_and_a_key_that_may_little(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, green: Shop
) -> None:
    app = create_app(settings.model_copy(update={"demo_tenant": "blue"}), db, lake, lambda: NOW)
    with client_of(app) as client:
        answer = client.get("/shop/config.json")
        config = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert (config["name"], config["tenant"]) == ("blue", "blue")
        assert config["categories"] == ["Audio", "Kitchen"]
        assert config["shoppers"] == ["u1"]  # the other user has seen nothing
        assert config["api_key"].startswith("pk_live_")
        key = {"Authorization": f"Bearer {config['api_key']}", "Origin": "http://service"}
        assert client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=key).status_code == 200
        assert client.post("/api/v1/items", json={"item_id": "x", "title": "X"}, headers=key).status_code == 403
        for headers in ({}, {"Origin": "https://other.test"}, {"Origin": "null"}, {"Referer": "https://other.test/x"}):
            asked = client.post("/api/v1/recommendations", json={}, headers={**key, "Origin": "", **headers})
            assert (asked.status_code, asked.json()["error"]["code"]) == (403, "origin_not_allowed"), headers
        of_own_page = {"Authorization": key["Authorization"], "Referer": "http://service/shop"}
        assert client.get("/recommend/u1", headers=of_own_page).status_code == 200
        assert client.get("/shop/items/nothing").status_code == 404
        assert "default-src 'self'" in client.get("/shop").headers["content-security-policy"]


def test_a_shop_without_a_release_still_sells(settings: Settings, db: ControlDb, lake: Lake, empty: Shop) -> None:
    app = create_app(settings.model_copy(update={"demo_tenant": "empty"}), db, lake, lambda: NOW)
    with client_of(app) as client:
        for i in range(3):
            client.post("/api/v1/items", json={"item_id": f"i{i}", "title": f"Item {i}"}, headers=empty.headers)
        config = client.get("/shop/config.json").json()
        assert (config["categories"], config["shoppers"]) == ([], [])
        first = client.get("/shop/items?limit=2").json()
        rest = client.get(f"/shop/items?limit=2&after={first['next_cursor']}").json()
        assert [item["item_id"] for item in first["items"] + rest["items"]] == ["i0", "i1", "i2"]
        assert rest["next_cursor"] is None


def test_the_key_is_made_once_and_again_when_it_was_revoked(settings: Settings, db: ControlDb, blue: Shop) -> None:
    shop = demo_of(settings, db, blue)
    key = shop.key()
    assert demo_of(settings, db, blue).key() == key  # what another worker gets
    known = authenticate(db, key)
    assert known is not None
    assert known.scopes == frozenset(BROWSER_SCOPES)
    revoke_api_key(db, blue.tenant, known.id, now=NOW)
    fresh = shop.key()
    assert fresh != key
    assert len(list_api_keys(db, blue.tenant)) == 3  # the shop's own, the revoked one and the fresh one
    (file,) = (settings.home / "demo-shop").glob("*.key")
    assert file.stat().st_mode & 0o077 == 0


def test_the_widget_is_small_and_any_page_may_load_it(client: Client) -> None:
    answer = client.get("/static/recsaas.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.content == WIDGET.read_bytes()
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "way", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
)
@pytest.mark.parametrize("script", [WIDGET, *(WIDGET.parents[1] / "demo" / "shop").glob("*.js")], ids=lambda p: p.name)
def test_no_script_makes_markup_of_data(script: Path, way: str) -> None:
    assert way not in script.read_text(encoding="utf-8")


def test_without_the_setting_no_other_origin_may_call(client: Client, blue: Shop) -> None:
    answer = client.request("OPTIONS", "/api/v1/recommendations", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in answer.headers
    asked = client.post("/api/v1/recommendations", json={}, headers={**blue.headers, "Origin": "https://shop.test"})
    assert asked.status_code == 200
    assert "access-control-allow-origin" not in asked.headers


def test_named_origins_may_call_the_api_and_nothing_else(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": "https://shop.test"}), db, lake, lambda: NOW)
    with client_of(app) as client:
        allowed = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization, content-type, idempotency-key"}
        assert client.request("OPTIONS", "/api/v1/interactions", headers=allowed).status_code == 200
        refused = client.request("OPTIONS", "/events", headers={**PREFLIGHT, "Origin": "https://other.test"})
        assert refused.status_code == 400
        # Also an answer that refuses must be readable, or the page cannot tell why.
        for headers, status in ((blue.headers, 200), ({}, 401)):
            answer = client.post("/api/v1/recommendations", json={}, headers={**headers, "Origin": "https://shop.test"})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://shop.test"
            assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-origin" not in client.get("/health", headers=PREFLIGHT).headers


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.test/, http://b.test:8080", ("https://a.test", "http://b.test:8080")),
    ],
)
def test_origins_are_read_from_one_line(text: str, origins: tuple[str, ...]) -> None:
    assert origins_of(Settings(cors_origins=text).cors_origins) == origins


@pytest.mark.parametrize("text", ["shop.test", "https://a.test/path", "https://*.a.test", "https://a.test b"])
def test_an_origin_that_can_match_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=text)
