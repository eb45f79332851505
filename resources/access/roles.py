"""Roles of people: in a tenant, and of the platform. One table each, of role and permissions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from resources.base.errors import InvalidInput

TenantRole = Literal["viewer", "editor", "admin", "owner"]
TENANT_ROLES: tuple[TenantRole, ...] = get_args(TenantRole)
"""Roles in a tenant, each with all that those before it have."""
OfficeRole = Literal["developer", "support_agent", "super_admin"]
OFFICE_ROLES: tuple[OfficeRole, ...] = get_args(OfficeRole)
OfficePermission = Literal[
    "tenants:read",
    "tenants:write",
    "runs:write",
    "flags:write",
    "plans:write",
    "people:write",
    "audit:read",
    "act:read",
    "act:write",
    "system:write",
]
OFFICE_PERMISSIONS: tuple[OfficePermission, ...] = get_args(OfficePermission)
"""What somebody of the platform may do, over every tenant. `act:…`: act for a member of a tenant."""

_VIEWER = frozenset({"recommendations:read", "analytics:read", "members:read"})
_EDITOR = _VIEWER | {"items:write", "interactions:write", "uploads:write", "training:write", "experiments:write"}
_ADMIN = _EDITOR | {
    *("releases:write", "settings:write", "keys:write", "members:write", "webhooks:write", "audit:read", "admin"),
}
_OWNER = _ADMIN | {"billing:write", "ownership:write"}

PERMISSIONS_OF_ROLE: Mapping[TenantRole, frozenset[str]] = MappingProxyType(
    {"viewer": _VIEWER, "editor": _EDITOR, "admin": _ADMIN, "owner": _OWNER}
)
PERMISSIONS_OF_OFFICE: Mapping[OfficeRole, frozenset[str]] = MappingProxyType(
    {
        "developer": frozenset({"tenants:read", "runs:write", "flags:write"}),
        "support_agent": frozenset({"tenants:read", "act:read"}),
        "super_admin": frozenset(OFFICE_PERMISSIONS),
    }
)
FORBIDDEN_WHILE_ACTING = frozenset(
    {"keys:write", "members:write", "webhooks:write", "admin", "billing:write", "ownership:write"}
)
"""What nobody may do who acts for a member, whatever the role: it makes people, keys and secrets, or ends the shop."""


def tenant_role(text: str) -> TenantRole:
    """Return the role that a client names; `member` is an old name of `editor`.

    Raises:
        InvalidInput: there is no such role.
    """
    name = "editor" if text == "member" else text
    for role in TENANT_ROLES:
        if role == name:
            return role
    raise InvalidInput(f"There is no role {text[:40]!r} in a shop; there are: {', '.join(TENANT_ROLES)}.")


def office_role(text: str) -> OfficeRole:
    """Return the role of the platform that a client names.

    Raises:
        InvalidInput: there is no such role.
    """
    for role in OFFICE_ROLES:
        if role == text:
            return role
    raise InvalidInput(f"There is no role {text[:40]!r} of the platform; there are: {', '.join(OFFICE_ROLES)}.")
