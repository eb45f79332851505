"""Whose address a request has, with proxies and with headers that claim some."""

from __future__ import annotations

import pytest

from bento_service.http.client_address import ClientAddress, proxies_of
from resources.base.errors import ConfigurationError


def address(peer: str | None, *forwarded: str, trusted: str = "") -> str:
    """The address of a request from a peer with these `X-Forwarded-For` headers."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"client": (peer, 4711) if peer is not None else None, "headers": headers}
    return ClientAddress(proxies_of(trusted)).of(scope)


def test_a_header_of_a_stranger_counts_for_nothing() -> None:
    assert address("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert address("203.0.113.9", "198.51.100.1", trusted="10.0.0.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66", "198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        (["10.1.2.3"], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["nonsense"], "unknown"),
    ],
)
def test_a_trusted_proxy_names_whoever_it_was_asked_by(forwarded: list[str], client: str) -> None:
    assert address("10.0.0.1", *forwarded, trusted="10.0.0.0/8, 127.0.0.1") == client


def test_a_network_of_ipv6_is_one_customer() -> None:
    assert address("2001:db8:1:2:3::4") == address("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert address("2001:db8:1:3::4") != address("2001:db8:1:2::4")
    assert address("::ffff:192.0.2.1") == "192.0.2.1"
    assert address("10.0.0.1", "[2001:db8:1:2::7]:443", trusted="10.0.0.1") == "2001:db8:1:2::"


def test_a_peer_without_an_address_is_unknown() -> None:
    assert address(None) == "unknown"
    assert address("") == "unknown"


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_TRUSTED_PROXIES"):
        ClientAddress(proxies_of("proxy.example"))


def test_a_trusted_proxy_speaks_for_many_and_nobody_else_does() -> None:
    addresses = ClientAddress(["10.0.0.0/8"])
    assert addresses.trusts("10.1.2.3") and addresses.trusts("::ffff:10.1.2.3")
    assert not addresses.trusts("192.0.2.1") and not addresses.trusts("")
    assert not ClientAddress().trusts("10.1.2.3")
    assert addresses.of_peer("2001:db8::1:2:3:4") == addresses.of_peer("2001:db8::5") == "2001:db8::"
