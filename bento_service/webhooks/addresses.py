"""Where the address of a webhook leads: a shop chooses it, and it must not lead into our own network."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from resources.base.errors import InvalidInput

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses behind which a gateway reaches the IPv4 address in their last 32 bits (RFC 6052)."""
_COMPATIBLE = IPv6Network("::/96")


async def resolved(host: str, port: int, *, private: bool) -> str:
    """Return an address of the host that may be posted to. Whoever connects to it asks no name server again.

    Args:
        private: addresses that are not of the public internet are meant, too.

    Raises:
        InvalidInput: the host has no address, or one that is not of the public internet.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"The host {host[:200]} has no address.") from error
    addresses = [ip_address(entry[4][0].partition("%")[0]) for entry in found]
    for address in addresses:
        if not private and not is_public(address):
            raise InvalidInput(f"The host {host[:200]} leads to {address}, which is not an address of the internet.")
    return str(addresses[0])


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is one of the public internet: no private, local, shared, test or group address."""
    if isinstance(address, IPv6Address):
        if address in _COMPATIBLE:  # an IPv4 address in a form that is not used any more, `::` and `::1`
            return False
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _TRANSLATED:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast
