"""Logging in and what is one's own, in a real browser without script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.site import Site

pytestmark = pytest.mark.browser
PASSWORD = "four words that differ"
LAMPS = {"E-mail": "jane@example.com", "Password": PASSWORD, "Shop_name": "Lamps", "Shop_id": "lamps"}


@pytest.fixture
def problems() -> list[str]:
    """What the browser complains of: the policy of a page, above all."""
    return []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 320, "height": 700}, java_script_enabled=False, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, problems: list[str]) -> Page:
    page = context.new_page()
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    return page


def fill(page: Page, button: str, **fields: str) -> None:
    for label, text in fields.items():
        page.get_by_label(re.compile(f"^{label.replace('_', ' ')}")).fill(text)
    page.get_by_role("button", name=button).click()


def fits(page: Page) -> None:
    """Nothing is wider than a screen of 320 pixels; measured from outside, since the page runs no script."""
    for element in page.locator("body *").all():
        box = element.bounding_box()
        assert box is None or box["x"] + box["width"] <= 321, element.evaluate("e => e.outerHTML")


def test_a_person_signs_up_sets_a_second_factor_up_and_logs_in_with_it(
    site: Site, page: Page, problems: list[str]
) -> None:
    page.goto(f"{site.url}/signup")
    fits(page)
    fill(page, "Create shop", **{**LAMPS, "Password": "short"})
    expect(page.get_by_role("alert")).to_contain_text("12 to 200 characters")
    expect(page.get_by_label(re.compile("^Shop id"))).to_have_value("lamps")
    fits(page)
    fill(page, "Create shop", Password=PASSWORD)
    expect(page.get_by_role("heading", name="Your shops")).to_be_visible()
    expect(page.get_by_role("heading", name="Lamps")).to_be_visible()
    fits(page)
    page.get_by_role("link", name="Account").click()
    fits(page)
    for password in ("four words that do not", PASSWORD):
        page.locator("#factor-password").fill(password)
        page.get_by_role("button", name="Set up second factor").click()
        if password != PASSWORD:
            expect(page.get_by_role("alert")).to_contain_text("password")
        fits(page)
    totp = pyotp.TOTP(page.locator(".secret").inner_text())
    expect(page.locator(".picture svg")).to_be_visible()
    fill(page, "Confirm code", Six_digits=totp.now())
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    fits(page)
    page.get_by_role("link", name="I have stored them").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{site.url}/account")
    fits(page)
    fill(page, "Log in", **{"E-mail": "jane@example.com", "Password": PASSWORD})
    fits(page)
    fill(page, "Log in", Code=codes[0])
    expect(page.get_by_role("heading", name="Account")).to_be_visible()
    expect(page.get_by_text("9 recovery codes are left")).to_be_visible()
    page.get_by_label("Dark").check()
    page.get_by_role("button", name="Save colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    refused = [each for each in problems if "422" in each or "401" in each]
    assert problems == refused and len(refused) == 2, "the short password and the wrong one"


def test_the_cookie_is_one_that_no_script_and_no_other_host_gets(
    site: Site, page: Page, context: BrowserContext
) -> None:
    page.goto(f"{site.url}/signup")
    fill(page, "Create shop", **{**LAMPS, "E-mail": "a@example.com"})
    expect(page.get_by_role("heading", name="Your shops")).to_be_visible()
    (cookie,) = [each for each in context.cookies() if each["name"] == "__Host-recsaas"]
    assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Lax" and cookie["path"] == "/"
    assert cookie["expires"] == -1


def test_a_form_of_another_site_logs_nobody_in_or_out(site: Site, page: Page, context: BrowserContext) -> None:
    page.goto(f"{site.url}/signup")
    fill(page, "Create shop", **{**LAMPS, "E-mail": "a@example.com"})
    expect(page.get_by_role("heading", name="Your shops")).to_be_visible()
    other = site.url.replace("127.0.0.1", "localhost")
    page.route(
        f"{other}/forged",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<form method="post" action="{site.url}/logout"><button>Win</button></form>'
        ),
    )
    page.goto(f"{other}/forged")
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_text("cross_site_request")).to_be_visible()
    page.goto(f"{site.url}/app")
    expect(page.get_by_role("heading", name="Your shops")).to_be_visible()


def test_no_other_site_shows_a_page_of_ours_in_a_frame(site: Site, page: Page) -> None:
    other = site.url.replace("127.0.0.1", "localhost")
    page.route(
        f"{other}/framing",
        lambda route: route.fulfill(content_type="text/html", body=f'<iframe src="{site.url}/login"></iframe>'),
    )
    page.goto(f"{other}/framing")
    assert page.frame_locator("iframe").get_by_label("Password").count() == 0
