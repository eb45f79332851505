"""What a key is bound to: addresses that its requests come from, origins of the pages that it stands in, a sandbox."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import urlsplit

from starlette.types import Scope

from bento_service.http.client_address import ClientAddress
from resources.access.key_kinds import OWN_PAGES, is_within, networks_of
from resources.base.errors import Forbidden
from resources.control_db.api_keys import ApiKey

SANDBOX_HEADER = (b"x-recsaas-sandbox", b"true")
"""Stands on every answer to a sandbox key."""
SANDBOX_ROUTES = frozenset(
    {
        ("POST", "/api/v1/recommendations"),
        ("POST", "/api/v1/recommendations/similar"),
        ("POST", "/api/v1/recommendations/bundle"),
        ("POST", "/api/v1/recommendations/batch"),
        ("POST", "/api/v1/interactions"),
        ("POST", "/events"),
        ("POST", "/api/v1/items"),
        ("PATCH", "/api/v1/items/{item_id}"),
        ("DELETE", "/api/v1/items/{item_id}"),
        ("POST", "/api/v1/upload/{kind}"),
        ("POST", "/api/v1/mappings/{kind}/propose"),
    }
)
"""Routes, beside those that only read, which answer a sandbox key: they store nothing of what it sends."""


class AddressNotAllowed(Forbidden):
    """The key is bound to other addresses than the one that the request comes from."""

    code = "address_not_allowed"


class OriginNotAllowed(Forbidden):
    """The browser key is bound to other pages than the one that the request comes from."""

    code = "origin_not_allowed"


class SandboxOnly(Forbidden):
    """A sandbox key asks for something that would change what is live."""

    code = "sandbox_key"


def check_bindings(key: ApiKey, scope: Scope, addresses: ClientAddress) -> None:
    """Refuse a request that does not come from where the key may be used.

    Raises:
        AddressNotAllowed, OriginNotAllowed: it does not.
    """
    if key.addresses:
        address = addresses.exact(scope)
        if not is_within(address, _networks(key.addresses)):
            raise AddressNotAllowed(
                f"This API key may not be used from {address}. Add the address to those of the key, or send the "
                "request from one of them."
            )
    if key.kind == "browser" and not _comes_from(scope, key.origins):
        raise OriginNotAllowed(
            "This browser key may only be used by the pages that it was made for. Add the web origin of this page to "
            "those of the key; programs other than browsers need a secret key."
        )


def check_sandbox(scope: Scope) -> None:
    """Refuse a request of a sandbox key that would change something.

    Raises:
        SandboxOnly: it would.
    """
    method = scope["method"]
    if method not in ("GET", "HEAD") and (method, scope["route"].path_format) not in SANDBOX_ROUTES:
        raise SandboxOnly("A sandbox key changes nothing here. Use a secret key to do this for real.")


def _comes_from(scope: Scope, origins: tuple[str, ...]) -> bool:
    """Tell whether a page of one of these origins sent the request, as far as browsers say so.

    A browser sends no `Origin` with a GET to the page's own service; `Referer`, which no page can set, stands in.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    sent = headers[b"origin"] if b"origin" in headers else headers.get(b"referer", "")
    scheme, place = _origin_of(sent)
    if f"{scheme}://{place}" in origins:
        return True
    return OWN_PAGES in origins and place != "" and place == headers.get(b"host")


def _origin_of(address: str) -> tuple[str, str]:
    """Return the scheme of an address, and host with port; nothing where it is no address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc


@lru_cache(maxsize=1_000)
def _networks(addresses: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return networks_of(addresses)
