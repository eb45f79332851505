"""How pages write what they show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bento_service.pages.logged_in import safe_path
from bento_service.pages.render import browser_text, time_text


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156", "Edge on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19 Safari/604", "Safari on iPhone"),
        ("curl/8.1", "curl/8.1"),
        ("", "Unknown program"),
    ],
)  # fmt: skip
def test_browsers_are_named_as_people_do(agent: str, text: str) -> None:
    assert browser_text(agent) == text


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 11, 28, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(moment) == "27 Nov 2026, 22:05 UTC"
    assert time_text(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "2 Jan 2026, 03:04 UTC"


@pytest.mark.parametrize("text", ["/app", "/app?a=1&b=2", "/shops/a%2Fb#here"])
def test_a_path_of_ours_is_gone_on_to(text: str) -> None:
    assert safe_path(text) == text


@pytest.mark.parametrize("text", [None, "", "app", "//a", "/\\a", "/a\\b", "https://a", "/a\r\nb", "/" + "a" * 600])
def test_nothing_else_is(text: str | None) -> None:
    assert safe_path(text) is None
