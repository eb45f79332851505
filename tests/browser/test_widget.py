"""recsaas.js in a page of another origin, as in a real shop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Page, Route, expect

from resources.access.key_kinds import BROWSER_SCOPES
from tests.browser.conftest import Visit
from tests.browser.site import MARKUP, Site, served

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><title>A shop</title><link rel="icon" href="data:,">
<script src="{api}/static/recsaas.js" data-key="{key}" {more}></script>
<h1>A shop</h1>
<div id="box" data-recsaas="recommendations" data-title="For you" data-count="3" data-scenario="home"
     data-link="#item/{{id}}" data-currency="EUR"></div>
<div id="alike" data-recsaas="similar" data-item="b1" data-count="2" data-template="#mine"></div>
<template id="mine"><a><b data-field="title"></b> <i data-field="price"></i></a></template>"""


@pytest.fixture
def shop_page(site: Site) -> Iterator[str]:
    """Address of a shop's own page; `?more=` is put into the script's tag."""
    key = site.shop.key_with(*BROWSER_SCOPES)["Authorization"].removeprefix("Bearer ")
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    def page(more: str = "") -> str:
        return PAGE.format(api=site.url, key=key, more=more)

    with served(app) as url:
        yield url


def settled(page: Page) -> None:
    page.evaluate("recsaas.flush()")


def test_it_shows_and_tracks_what_was_seen_and_clicked(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    page.goto(shop_page)
    expect(page.locator("#box .recsaas-item")).to_have_count(3)
    assert page.locator("#box").aria_snapshot().startswith('- region "For you":\n  - heading "For you" [level=2]\n')
    expect(page.locator("#box .recsaas-price").first).to_have_text("€60.00")
    expect(page.locator("#alike li b")).to_have_text([MARKUP, "Title b2"])
    page.wait_for_function("JSON.parse(localStorage['recsaas.events'] || '[]').length >= 5")  # seen for a second
    page.locator("#box a").first.click()
    settled(page)
    events = site.tracked()
    shown = [event for event in events if event[2] == "impression"]
    assert sorted(event[1] or "" for event in shown) == ["b2", "b3", "b4", "b5", "b6"]
    (click,) = (event for event in events if event[2] == "click")
    assert click[1] == "b6"
    assert click[3] in {event[3] for event in shown if event[1] == "b6"}
    assert len({event[0] for event in events}) == len({event[4] for event in events}) == 1
    page.evaluate("recsaas.track('purchase', 'b6', { price: 60, quantity: 1 })")
    settled(page)
    assert site.tracked()[-1][1:4] == ("b6", "purchase", click[3])
    assert visit.problems == []


def test_the_visitor_stays_the_same_and_the_user_may_be_told(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    for more in ("", "", 'data-user="u1"'):
        page.goto(f"{shop_page}/?more={more}")
        page.evaluate("recsaas.track('view', 'b4')")
        settled(page)
    users = [event[0] for event in site.tracked() if event[2] == "view"]
    assert users[0] == users[1]
    assert users[0].startswith("visitor-")
    assert users[2] == "u1"


def test_without_tracking_nothing_is_stored_or_sent(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    page.goto(f'{shop_page}/?more=data-track="off"')
    expect(page.locator("#box .recsaas-item")).to_have_count(3)
    page.locator("#box a").first.click()
    page.evaluate("recsaas.track('view', 'b4')")
    settled(page)
    assert site.tracked() == []
    assert page.evaluate("[localStorage['recsaas.visitor'], sessionStorage['recsaas.session']]") == [None, None]


def test_events_wait_while_the_service_is_away_and_count_once(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    page.goto(shop_page)
    expect(page.locator("#box .recsaas-item")).to_have_count(3)
    tries = 0

    def lose_the_answer(route: Route) -> None:
        nonlocal tries
        tries += 1
        route.fetch()  # the service stores them, and the page does not hear of it
        route.abort()

    page.route("**/api/v1/interactions", lose_the_answer)
    page.evaluate("recsaas.track('view', 'b4')")
    page.evaluate("recsaas.track('view', 'b5')")
    assert tries == 1  # no storm: the second waits with the first
    page.unroute("**/api/v1/interactions")
    page.reload()
    page.evaluate("recsaas.flush()")
    assert [event[1] for event in site.tracked() if event[2] == "view"] == ["b4", "b5"]


def test_one_wrong_event_does_not_take_the_others_along(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    page.goto(shop_page)
    page.evaluate(
        "Promise.all([recsaas.track('view', 'b4'), recsaas.track('looked', 'b5'), recsaas.track('view', 'b6')])"
    )
    settled(page)
    assert [event[1] for event in site.tracked() if event[2] == "view"] == ["b4", "b6"]
    assert page.evaluate("localStorage['recsaas.events']") == "[]"


def test_with_the_service_away_the_page_shows_nothing_and_asks_once(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []

    def away(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, body="{}")

    page.route("**/api/v1/**", away)
    page.goto(shop_page)
    page.wait_for_function("sessionStorage['recsaas.away']")
    first = len(asked)
    assert first == 2  # both boxes at the same time
    page.reload()
    page.evaluate("recsaas.refresh()")
    assert len(asked) == first
    assert page.locator("#box").evaluate("(box) => box.childElementCount") == 0


def test_a_key_that_is_refused_is_used_once(site: Site, shop_page: str, visit: Visit) -> None:
    page = visit.page
    page.goto(shop_page)
    expect(page.locator("#box .recsaas-item")).to_have_count(3)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    page.evaluate("recsaas.start({ key: 'sk_live_wrong' })")
    before = len([url for url in asked if url.endswith("/recommendations")])
    page.evaluate("recsaas.refresh()")
    page.evaluate("recsaas.track('view', 'b4')")
    assert len([url for url in asked if url.endswith("/recommendations")]) == before == 1
    expect(page.locator("#box .recsaas-item")).to_have_count(3)
