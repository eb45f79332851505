"""Kinds of API keys, and what keys may be bound to: an end, addresses, origins of pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Literal, get_args
from unicodedata import category

from resources.access.scopes import PLATFORM, SCOPES
from resources.base.errors import FieldProblem, InvalidInput

KeyKind = Literal["secret", "browser", "sandbox"]
KEY_KINDS: tuple[KeyKind, ...] = get_args(KeyKind)
"""`secret`: for servers. `browser`: stands in pages. `sandbox`: reads as a secret one does, and changes nothing."""
PREFIXES: Mapping[KeyKind, str] = MappingProxyType({"secret": "sk_live_", "browser": "pk_live_", "sandbox": "sk_test_"})
"""How the secret of a key of each kind begins."""
BROWSER_SCOPES = ("recommendations:read", "interactions:write")
"""All that a browser key may do: everybody can read it in the page that it stands in."""
OWN_PAGES = "self"
"""In place of an origin: pages of this service itself, under whichever name they were asked for."""
MAX_BINDINGS = 20
"""Origins, or networks, that one key may be bound to."""
MAX_NAME = 200
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What a key is for, what it may do, and what it is bound to.

    Attributes:
        expires_at: the moment from which on it opens nothing; None: it does not end by itself.
        addresses: networks (CIDR) that its requests may come from; empty: any.
        origins: of a browser key, the web origins of the pages that it stands in.
    """

    name: str
    scopes: tuple[str, ...]
    kind: KeyKind = "secret"
    expires_at: datetime | None = None
    addresses: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def checked_terms(terms: KeyTerms, *, now: datetime) -> KeyTerms:
    """Return the terms in their one form: scopes sorted, networks and origins as they are compared.

    Raises:
        InvalidInput: names each field that cannot be.
    """
    problems = [*_of_name_and_scopes(terms)]
    if terms.expires_at is not None and terms.expires_at <= now:
        problems.append(FieldProblem("expires_at", "is over already; to end a key now, revoke it"))
    addresses, origins = _bindings(terms, problems)
    if problems:
        listed = "; ".join(f"{each.field}: {each.message}" for each in problems)
        raise InvalidInput(f"There can be no such key. {listed}.", details=tuple(problems))
    return KeyTerms(
        name=terms.name.strip(),
        scopes=tuple(sorted(set(terms.scopes))),
        kind=terms.kind,
        expires_at=terms.expires_at,
        addresses=addresses,
        origins=origins,
    )


def networks_of(addresses: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read stored networks."""
    return tuple(ip_network(each) for each in addresses)


def is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Tell whether an address, as it is written, lies in one of the networks; what is no address does not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _of_name_and_scopes(terms: KeyTerms) -> Iterable[FieldProblem]:
    name = terms.name.strip()
    if not name or len(name) > MAX_NAME or any(category(each) == "Cc" for each in name):
        yield FieldProblem("name", f"has 1 to {MAX_NAME} characters, no line breaks or other control characters")
    if unknown := sorted(set(terms.scopes) - {*SCOPES, PLATFORM}):
        yield FieldProblem("scopes", f"there are no scopes {', '.join(unknown)}; there are: {', '.join(SCOPES)}")
    elif not terms.scopes:
        yield FieldProblem("scopes", f"names nothing that the key may do; there are: {', '.join(SCOPES)}")
    elif terms.kind == "browser" and (more := sorted(set(terms.scopes) - set(BROWSER_SCOPES))):
        yield FieldProblem("scopes", f"a browser key may have {' and '.join(BROWSER_SCOPES)}, not {', '.join(more)}")
    elif terms.kind == "sandbox" and PLATFORM in terms.scopes:
        yield FieldProblem("scopes", f"a sandbox key cannot have {PLATFORM}, which stops and erases tenants")


def _bindings(terms: KeyTerms, problems: list[FieldProblem]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return networks and origins in their one form; what is wrong with them is added to `problems`."""
    networks = [_network(each) for each in terms.addresses]
    origins = [_origin(each) for each in terms.origins]
    for place, text in enumerate(networks):
        if text is None:
            problems.append(FieldProblem(f"addresses.{place}", "is no address or network such as 203.0.113.0/24"))
    for place, text in enumerate(origins):
        if text is None:
            problems.append(FieldProblem(f"origins.{place}", "is no web origin such as https://shop.example.com"))
    if terms.kind == "browser" and not origins:
        problems.append(FieldProblem("origins", "a browser key needs the web origins of the pages that it stands in"))
    if terms.kind != "browser" and origins:
        problems.append(FieldProblem("origins", "only a browser key is bound to origins; leave them out"))
    for field, found in (("addresses", networks), ("origins", origins)):
        if len(found) > MAX_BINDINGS:
            problems.append(FieldProblem(field, f"has more than {MAX_BINDINGS} entries"))
    return tuple(dict.fromkeys(filter(None, networks))), tuple(dict.fromkeys(filter(None, origins)))


def _network(text: str) -> str | None:
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError:
        return None


def _origin(text: str) -> str | None:
    """Write an origin as browsers do: in small letters, without the usual port and without a slash at the end."""
    text = text.strip().lower().rstrip("/")
    if text == OWN_PAGES:
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found[3] or 1) > 65535:
        return None
    usual = found[3] is None or found[3] == _DEFAULT_PORTS[found[1]]
    return f"{found[1]}://{found[2]}" + ("" if usual else f":{int(found[3])}")
