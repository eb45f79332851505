"""Cursors of lists: what they look like, which ones are refused, and where a page ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bento_service.http.pagination import Pages, decoded, encoded, pages_by_number, pages_by_text, pages_by_time
from resources.base.errors import InvalidInput

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pages", "key", "cursor"),
    [
        (pages_by_number("u"), 17, "dTE3"),
        (pages_by_text("i"), "Zoë/1", "aVpvw6svMQ"),
        (pages_by_time("r"), AT, "cjIwMjYtMDMtMDFUMTI6MzA6MDArMDA6MDA"),
    ],
)
def test_a_cursor_leads_back_to_its_key_and_stays_as_clients_have_it(pages: Pages, key: object, cursor: str) -> None:
    assert pages.cursor(key) == cursor
    assert pages.place(cursor) == key


def test_the_first_page_has_no_cursor() -> None:
    assert pages_by_text("i").place(None) is None


def test_a_time_is_read_as_utc() -> None:
    pages = pages_by_time("r")
    assert pages.place(pages.cursor(AT.astimezone(timezone(timedelta(hours=5))))) == AT


@pytest.mark.parametrize(
    ("pages", "cursor"),
    [
        (pages_by_number("u"), encoded(b"i17")),
        (pages_by_number("u"), encoded(b"useventeen")),
        (pages_by_number("u"), encoded(b"u0")),
        (pages_by_number("u"), encoded(b"u-3")),
        (pages_by_number("u"), encoded(f"u{2**63}".encode())),
        (pages_by_text("i"), ""),
        (pages_by_text("i"), "aQ\u00e9"),
        (pages_by_text("i"), "a b"),
        (pages_by_text("i"), encoded(b"i\xff")),
        (pages_by_time("r"), encoded(b"ryesterday")),
        (pages_by_time("r"), encoded(b"r0001-01-01T00:00:00+14:00")),
    ],
)
def test_a_cursor_that_this_service_did_not_give_is_refused(pages: Pages, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor: is not one that this service gave") as refusal:
        pages.place(cursor)
    assert [each.field for each in refusal.value.details] == ["cursor"]


@pytest.mark.parametrize(("found", "shown", "last"), [([], [], None), ([1, 2], [1, 2], None), ([1, 2, 3], [1, 2], 2)])
def test_a_page_leads_on_where_it_holds_not_all(found: list[int], shown: list[int], last: int | None) -> None:
    pages = pages_by_number("u")
    page, cursor = pages.cut(found, limit=2, key=lambda number: number)
    assert list(page) == shown
    assert pages.place(cursor) == last


@pytest.mark.parametrize("content", [b"", b"a", b"ab", b"abc", bytes(range(256))])
def test_a_cursor_is_text_for_addresses(content: bytes) -> None:
    text = encoded(content)
    assert decoded(text) == content
    assert not set(text) & set("+/=")
