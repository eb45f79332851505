"""Headers of every page, and requests that another site forged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from bento_service import pages
from bento_service.middleware import WITH_KEY
from bento_service.pages.page_route import PageRoute
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.pages.browser import PASSWORD, SITE, Browser

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
OWN_HEADERS = {"/docs", "/data-docs", "/shop"}
JANE = "jane@example.com"
FORBIDDEN = {f"{feature}=()" for feature in ("camera", "microphone", "geolocation", "payment", "usb", "serial", "hid")}


def routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    for route in app.state.routes:
        for method in route.methods:
            yield method, route


def address(route: APIRoute) -> str:
    return re.sub(r"{\w+(:path)?}", "nothing", route.path)


@pytest.fixture
def logged_in(browser: Browser, people: Any, blue_shop: TenantId) -> Browser:
    people.add(JANE, shop=blue_shop, office="super_admin")
    browser.log_in(JANE)
    browser.log_in(JANE, page="/office/login")
    assert len(browser.cookies) == 2
    return browser


def test_every_page_has_the_headers_that_keep_other_sites_out(app: FastAPI, logged_in: Browser) -> None:
    seen = set()
    for browser in (logged_in, Browser(logged_in.client, address="203.0.113.8")):
        for method, route in routes(app):
            if method != "GET" or route.path.startswith(WITH_KEY):
                continue
            answer = browser.get(address(route))
            html = answer.headers.get("content-type", "").startswith("text/html")
            if not (html or isinstance(route, PageRoute)) or route.path in OWN_HEADERS:
                continue
            seen.add(route.path)
            assert answer.headers["content-security-policy"] == CSP, route.path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert set(answer.headers["permissions-policy"].split(", ")) >= FORBIDDEN, route.path
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
    assert {"/login", "/signup", "/forgot", "/account", "/app", "/office", "/office/login", "/reset/{token}"} <= seen


def test_nothing_outside_the_api_takes_a_form_of_another_site(app: FastAPI, logged_in: Browser, db: ControlDb) -> None:
    def entries() -> int:
        with db.read() as session:
            return session.query(AuditRow).count()

    before, tried = entries(), 0
    for method, route in routes(app):
        if method in ("GET", "HEAD") or route.path.startswith(WITH_KEY):
            continue
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "", "Origin": "null"},
            {"Sec-Fetch-Site": "", "Origin": ""},
        ):
            answer = logged_in.post(address(route), **headers)
            assert answer.status_code == 403 and "cross_site_request" in answer.text, route.path
            tried += 1
    assert tried > 50 and entries() == before
    assert logged_in.get("/app").status_code == 200  # nobody was logged out by it


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "", "Origin": SITE}], ids=["typed", "old browser"]
)
def test_a_form_of_ours_passes(browser: Browser, people: Any, headers: dict[str, str]) -> None:
    people.add(JANE)
    assert browser.post("/login", {"email": JANE, "password": PASSWORD}, **headers).status_code == 303


def test_a_key_in_a_header_is_asked_for_and_no_cookie_counts_on_routes_of_the_api(
    app: FastAPI, logged_in: Browser
) -> None:
    """They may be called from other sites, since no browser sends a key by itself."""
    for method, route in routes(app):
        if method == "GET" or not route.path.startswith(WITH_KEY) or "/auth/" in route.path or "token" in route.path:
            continue
        assert logged_in.client.request(
            method,
            f"{SITE}{address(route)}",
            headers={"Cookie": f"__Host-recsaas={logged_in.cookies['__Host-recsaas']}"},
        ).status_code in (401, 404, 405), (method, route.path)


def test_no_get_changes_anything(app: FastAPI, logged_in: Browser, db: ControlDb) -> None:
    def state() -> list[Any]:
        with db.read() as session:
            tables = ("members", "memberships", "invites", "one_time_links", "audit_log", "mails")
            names = {table.name for table in AuditRow.metadata.sorted_tables}
            sql = AuditRow.metadata.tables
            return [session.execute(sql[name].select()).all() for name in tables if name in names]

    before = state()
    for method, route in routes(app):
        if method == "GET" and isinstance(route, PageRoute):
            logged_in.get(address(route))
    assert state() == before


@pytest.mark.parametrize("goal", ["/app", "/office"])
def test_other_origins_are_told_nothing_of_pages(client: Client, goal: str) -> None:
    answer = Browser(client).get(goal, Origin="https://shop.example")
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_templates_hold_no_inline_style_or_script() -> None:
    folder = Path(pages.__file__).parent / "templates"
    found = list(folder.rglob("*.html"))
    assert len(found) > 10
    for file in found:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|<style|<script(?![^>]*\ssrc=)|\son\w+=|javascript:|\|\s*safe", text), file.name


def test_what_people_type_stays_text(browser: Browser, people: Any) -> None:
    people.add(JANE)
    answer = browser.log_in('"><script>alert(1)</script>@example.com')
    assert "<script" not in answer.text and "&lt;script&gt;" in answer.text
    browser.log_in(JANE)
    browser.post("/account/name", {"name": "<b>Jane</b>"})
    assert "<b>Jane" not in browser.get("/account").text
    assert "&lt;b&gt;Jane" in browser.get("/account").text


def test_files_of_pages_change_their_address_with_what_is_in_them(client: Client) -> None:
    browser = Browser(client)
    found = re.search(r'href="(/static/pages/base\.css\?v=[0-9a-f]{12})"', browser.get("/login").text)
    assert found is not None
    answer = browser.get(found[1])
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert browser.get("/static/pages/..%2Fdocs.html").status_code == 404


def test_a_form_that_is_none_is_told_of(browser: Browser) -> None:
    json = {"Content-Type": "application/json"}
    assert browser.post("/login", {"email": JANE}, **json).status_code == 415
    assert browser.post("/login", {"email": "x" * 40_000}).status_code == 413
    answer = browser.post("/login", {})
    assert answer.status_code == 422 and 'aria-invalid="true"' in answer.text
