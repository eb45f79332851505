"""Signatures of webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.base.errors import InvalidInput, Unauthenticated
from resources.webhooks.signing import REPLAY_SECONDS, new_secret, signed_headers, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).parents[4] / "docs" / "webhooks.md"


def test_the_example_of_the_specification() -> None:
    """Secret, id, timestamp, payload and signature are those of the Standard Webhooks documentation."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [secret], now=at)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_verifies_with_its_secret_alone() -> None:
    secret, other = new_secret(), new_secret()
    headers = signed_headers("evt-1", b"{}", [secret], now=NOW)
    verify(headers, b"{}", secret, now=NOW)
    for body, key in ((b"{ }", secret), (b"{}", other)):
        with pytest.raises(Unauthenticated):
            verify(headers, body, key, now=NOW)
    with pytest.raises(Unauthenticated):
        verify({**headers, "webhook-id": "evt-2"}, b"{}", secret, now=NOW)


def test_while_a_secret_is_replaced_both_fit() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers("evt-1", b"{}", [new, old], now=NOW)
    verify(headers, b"{}", old, now=NOW)
    verify(headers, b"{}", new, now=NOW)


@pytest.mark.parametrize("seconds", [-REPLAY_SECONDS - 1, REPLAY_SECONDS + 1])
def test_an_old_message_and_one_from_the_future_are_refused(seconds: int) -> None:
    secret = new_secret()
    headers = signed_headers("evt-1", b"{}", [secret], now=NOW)
    with pytest.raises(Unauthenticated, match="clock"):
        verify(headers, b"{}", secret, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("headers", [{}, {"webhook-timestamp": "soon"}, {"webhook-timestamp": "²"}])
def test_headers_that_are_missing_or_odd(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        verify(headers, b"{}", new_secret(), now=NOW)


def test_a_secret_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="whsec_"):
        signed_headers("evt-1", b"{}", ["whsec_?"], now=NOW)


def test_the_example_in_the_documentation_works() -> None:
    code = DOCS.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(code, names)
    check = names["comes_from_recsaas"]
    secret = new_secret()
    headers = signed_headers("evt-1", b"{}", [new_secret(), secret], now=datetime.now(UTC))
    assert callable(check)
    assert check(headers, b"{}", secret) and not check(headers, b"x", secret)
