"""Ids that a new tenant may have, and others in place of one that is taken."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.errors import Conflict, FieldProblem, InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tables.tenants import TenantRow
from resources.uploads.normalising.currencies import is_currency

RESERVED = frozenset(
    [
        "about",
        "account",
        "accounts",
        "admin",
        "api",
        "app",
        "assets",
        "auth",
        "billing",
        "blog",
        "cdn",
        "dashboard",
        "docs",
        "events",
        "health",
        "healthz",
        "help",
        "internal",
        "invite",
        "livez",
        "login",
        "logout",
        "mail",
        "metrics",
        "new",
        "none",
        "null",
        "office",
        "openapi",
        "platform",
        "public",
        "readyz",
        "recommend",
        "recsaas",
        "reset",
        "root",
        "shop",
        "signup",
        "static",
        "status",
        "support",
        "system",
        "undefined",
        "www",
    ]
)
"""Ids that stand, or may come to stand, in addresses of the platform itself."""
PROPOSALS = 3
_ENDINGS = ("shop", "store", "eu")
_MOST = 63


def check_new_id(tenant: TenantId) -> None:
    """Refuse an id that no tenant may have.

    Raises:
        InvalidInput: it is a word of the platform's own addresses.
    """
    if tenant.value in RESERVED or tenant.value.startswith("xn--"):
        message = f"{tenant} is a word of the platform itself; choose another id, such as {tenant}-shop."
        raise InvalidInput(message, details=(FieldProblem("slug", "is reserved"),))


def proposals(session: Session, tenant: TenantId) -> tuple[TenantId, ...]:
    """Return three ids like `tenant` that are free now; nothing keeps them free."""
    found: list[TenantId] = []
    for candidate in _candidates(tenant):
        taken = session.scalar(select(TenantRow.id).where(TenantRow.id == candidate.value))
        if taken is None and candidate.value not in RESERVED:
            found.append(candidate)
        if len(found) == PROPOSALS:
            break
    return tuple(found)


def taken(session: Session, tenant: TenantId) -> Conflict:
    """Return the error for an id that somebody has, or had: it names three that are free."""
    free = ", ".join(map(str, proposals(session, tenant)))
    return Conflict(
        f"The id {tenant} is taken. Free are: {free}.", details=(FieldProblem("slug", f"is taken; free are: {free}"),)
    )


def checked_currency(code: str | None) -> str | None:
    """Return the code of a currency in capitals.

    Raises:
        InvalidInput: it is none of ISO 4217.
    """
    if code is None:
        return None
    if not is_currency(code.strip().upper()):
        raise InvalidInput(
            f"{code[:20]!r} is not a currency of ISO 4217; write its three letters, such as EUR.",
            details=(FieldProblem("currency", "is not a currency of ISO 4217"),),
        )
    return code.strip().upper()


def checked_timezone(name: str | None) -> str | None:
    """Return the name of a time zone.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name is None or name in available_timezones():
        return name
    raise InvalidInput(
        f"There is no time zone {name[:60]!r}; write its IANA name, such as Europe/Berlin.",
        details=(FieldProblem("timezone", "is not an IANA time zone"),),
    )


def _candidates(tenant: TenantId) -> Iterator[TenantId]:
    for ending in _ENDINGS:
        yield _with(tenant, ending)
    for number in count(2):
        yield _with(tenant, str(number))


def _with(tenant: TenantId, ending: str) -> TenantId:
    return TenantId(f"{tenant.value[: _MOST - 1 - len(ending)].rstrip('-')}-{ending}")
