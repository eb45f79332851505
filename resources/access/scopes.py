"""Scopes: what a key or a member may do within one tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

Scope = Literal[
    "recommendations:read",
    "interactions:write",
    "items:write",
    "uploads:write",
    "training:write",
    "analytics:read",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Scopes that a tenant may give to its keys; each is about that tenant alone."""
PLATFORM = "platform"
"""The scope of whoever runs the installation, over every tenant. Only the command line gives it to a key."""
Permission = Literal[
    "recommendations:read",
    "interactions:write",
    "items:write",
    "uploads:write",
    "training:write",
    "analytics:read",
    "experiments:write",
    "releases:write",
    "settings:write",
    "keys:write",
    "members:read",
    "members:write",
    "webhooks:write",
    "audit:read",
    "admin",
    "billing:write",
    "ownership:write",
]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
"""What a route may ask for: the scopes of keys, and finer ones that roles have."""
IMPLIED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "training:write": frozenset({"experiments:write"}),
        "admin": frozenset(
            {
                *("releases:write", "settings:write", "keys:write", "members:read", "members:write"),
                *("webhooks:write", "audit:read"),
            }
        ),
    }
)
"""Finer permissions that a scope of a key brings with it."""


def permissions_of(scopes: Iterable[str]) -> frozenset[str]:
    """Return what a key with these scopes may do."""
    return _with_implied(frozenset(scopes))


@lru_cache(maxsize=1_000)  # asked for every request
def _with_implied(given: frozenset[str]) -> frozenset[str]:
    return given.union(*(IMPLIED[scope] for scope in given if scope in IMPLIED))
