"""The address that a request comes from: the peer of the connection, or whom a proxy that is trusted names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

from resources.base.errors import ConfigurationError

_FORWARDED = b"x-forwarded-for"
_NOWHERE = "unknown"
_ONE_CUSTOMER = 64  # a provider gives whole IPv6 networks of this size to one customer


class ClientAddress:
    """Reads the address of a request.

    `X-Forwarded-For` is read from its end: every proxy writes behind what it was sent, so what stands before the last
    address that is no trusted proxy's may be invented by the client.

    Args:
        trusted: addresses and networks of proxies, `10.0.0.1` or `10.0.0.0/8`; empty: the header counts for nothing.

    Raises:
        ConfigurationError: one of `trusted` is neither.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        try:
            self._trusted = tuple(ip_network(each, strict=False) for each in trusted)
        except ValueError as error:
            raise ConfigurationError(
                f"RECSAAS_TRUSTED_PROXIES: {error}. Name addresses or networks, separated by commas: 10.0.0.1, "
                "192.168.0.0/16."
            ) from error

    def of(self, scope: Scope) -> str:
        """Return the address in one spelling; the first 64 bits of an IPv6 address, which are one customer."""
        return _spelled(self._sender(scope))

    def exact(self, scope: Scope) -> str:
        """Return the whole address, of IPv6, too; where none is known, a text that is no address."""
        address = _parsed(self._sender(scope))
        return _NOWHERE if address is None else str(address)

    def _sender(self, scope: Scope) -> str:
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if not self.trusts(peer):
            return peer
        return next((hop for hop in reversed(_forwarded(scope)) if not self.trusts(hop)), peer)

    def of_peer(self, peer: str) -> str:
        """Return the address of a connection's other end in one spelling, whoever it speaks for."""
        return _spelled(peer)

    def trusts(self, text: str) -> bool:
        """Tell whether this is the address of a trusted proxy, which speaks for many."""
        if not self._trusted:
            return False
        address = _parsed(text)
        return address is not None and any(address in network for network in self._trusted)


def proxies_of(text: str) -> tuple[str, ...]:
    """Split the setting `RECSAAS_TRUSTED_PROXIES`."""
    return tuple(part for each in text.split(",") if (part := each.strip()))


def _forwarded(scope: Scope) -> list[str]:
    values = (value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED)
    return [hop.strip() for value in values for hop in value.split(",")]


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text[1:].partition("]")[0] if text.startswith("[") else text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _spelled(text: str) -> str:
    address = _parsed(text)
    if address is None:
        return _NOWHERE
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _ONE_CUSTOMER), strict=False).network_address)
    return str(address)
