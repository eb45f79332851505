"""The demo shop as a visitor sees it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.site import MARKUP, Site

pytestmark = pytest.mark.browser


def listed(page: Page, box: str) -> list[str]:
    return [str(entry.get_attribute("data-item")) for entry in page.locator(f"{box} .recsaas-item").all()]


def test_a_visitor_looks_at_an_item_and_the_list_becomes_theirs(site: Site, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{site.url}/shop")
    expect(page.locator("#for-you-note")).to_contain_text("popular")
    assert listed(page, "#for-you") == ["b6", "b5", "b4", "b3", "b2", "b1"]
    page.get_by_role("link", name="Title b2").last.click()
    expect(page.locator("#similar .recsaas-item")).to_have_count(5)
    assert listed(page, "#similar")[0] in ("b1", "b3")
    page.get_by_role("link", name="Back to the shop").click()
    expect(page.locator("#for-you-note")).to_contain_text("looked at")
    assert listed(page, "#for-you")[:2] == ["b1", "b3"]
    expect(page.locator("#for-you .reason").first).to_have_text("Because of your interest in Title b2")
    events = site.tracked()
    assert [event[1] for event in events if event[2] == "view"] == ["b2"]
    (user,) = {event[0] for event in events}
    assert re.fullmatch(r"visitor-[0-9a-f]{32}", user)
    assert visit.problems == []


def test_markup_in_a_title_stays_text(site: Site, visit: Visit) -> None:
    page = visit.page
    page.on("dialog", lambda dialog: visit.problems.append("alert"))
    page.goto(f"{site.url}/shop#/item/b3")
    expect(page.locator("#product-title")).to_have_text(MARKUP)
    page.goto(f"{site.url}/shop#/")
    expect(page.locator("#catalogue li")).to_have_count(6)
    assert page.locator("img[src=x]").count() == 0
    assert visit.problems == []


def test_why_these_shows_the_receipt(site: Site, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{site.url}/shop")
    page.get_by_role("button", name="Why these?").click()
    expect(page.locator("dialog li").first).to_contain_text("popular")
    page.get_by_role("button", name="Show the receipt").click()
    expect(page.locator("dialog dl").last).to_contain_text(site.shop.versions[0])
    page.goto(f"{site.url}/shop#/item/b2")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Where is this in my list?").click()
    expect(page.locator("dialog p")).to_contain_text("Number")


def test_a_customer_with_a_history_gets_the_models_list(site: Site, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{site.url}/shop")
    page.get_by_label("Shopping as").select_option("u1")
    expect(page.locator("#for-you-note")).to_contain_text("this customer did before")
    assert listed(page, "#for-you")[0] == "b2"  # b1 is in the history
    page.goto(f"{site.url}/shop#/item/b4")
    page.get_by_role("button", name="Add to cart").click()
    expect(page.locator("#cart")).to_have_text("1")
    page.evaluate("recsaas.flush()")
    assert ("u1", "b4", "add_to_cart") in [event[:3] for event in site.tracked()]


def test_search_and_categories_narrow_the_catalogue(site: Site, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{site.url}/shop")
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Kitchen").click()
    expect(page.locator("#catalogue li")).to_have_count(3)
    page.get_by_label("Search the shop").fill("title b2")
    expect(page.locator("#catalogue li")).to_have_count(1)
    page.get_by_label("Search the shop").fill("nothing like it")
    expect(page.get_by_text("Nothing here has these words")).to_be_visible()


@pytest.mark.parametrize("path", ["#/", "#/item/b1"])
def test_nothing_is_wider_than_a_phone(site: Site, visit: Visit, path: str) -> None:
    page = visit.page
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{site.url}/shop{path}")
    expect(page.locator(".recsaas-item").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_makes_sense_without_seeing_it(site: Site, visit: Visit) -> None:
    page = visit.page
    page.goto(f"{site.url}/shop")
    expect(page.locator("#for-you .recsaas-item")).to_have_count(6)
    tree = page.locator("body").aria_snapshot()
    for part in ('searchbox "Search the shop"', 'combobox "Shopping as"', 'heading "For you"', 'region "For you"'):
        assert part in tree, tree
    assert 'heading "Everything"' in tree
    assert page.evaluate("[...document.images].filter((image) => !image.hasAttribute('alt')).length") == 0
