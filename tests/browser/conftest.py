"""One browser for the tests of a file; a page of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import CHROMIUM, CHROMIUM_ARGUMENTS, ITEMS, Site, running_site


@dataclass
class Visit:
    """A page, and what went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)


# Ends with the file: while Playwright runs, an event loop does, and other tests start their own in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1200, "height": 900}, locale="en-GB")
    visit = Visit(context.new_page())
    visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
    visit.page.on("console", lambda line: visit.problems.append(line.text) if line.type == "error" else None)
    yield visit
    context.close()


@pytest.fixture
def site(tmp_path: object, browser: Browser) -> Iterator[Site]:
    with running_site(tmp_path, origins="*") as site:  # type: ignore[arg-type]
        sent = httpx.post(f"{site.url}/api/v1/items", json=ITEMS, headers=site.shop.headers, timeout=60)
        assert sent.json()["items"] == 6, sent.text
        yield site
