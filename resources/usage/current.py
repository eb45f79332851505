"""What a tenant has used: sums over days, as quotas and reports ask for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.plans import UsageRow, UsageSampleRow
from resources.usage.amounts import AMOUNTS, BILLED, Amounts

_CALLS = "calls"
_BYTES = "bytes:"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has used in a stretch of days.

    Attributes:
        calls: that count: those that were refused, or failed by our fault, are apart.
        training_seconds, cpu_seconds: of the tenant's runs.
    """

    calls: int = 0
    refused_calls: int = 0
    failed_calls: int = 0
    recommended_items: int = 0
    events: int = 0
    uploaded_rows: int = 0
    training_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Stored:
    """What a tenant had stored when the daily sample was taken; None before there is one."""

    day: date
    storage_bytes: int
    bytes_by_kind: Mapping[str, int]
    items: int
    users: int


def usage_of(session: Session, tenant: TenantId, *, since: date, until: date) -> Usage:
    """Return what the tenant has used from the UTC day `since` to `until`, both included."""
    return usages_of(session, [tenant.value], since=since, until=until).get(tenant.value, Usage())


def usages_of(session: Session, tenants: Collection[str], *, since: date, until: date) -> dict[str, Usage]:
    """Return what each of the tenants has used; one that has used nothing is left out."""
    statement = (
        select(UsageRow.tenant_id, *sums())
        .where(UsageRow.tenant_id.in_(tenants), UsageRow.day.between(since, until))
        .group_by(UsageRow.tenant_id)
    )
    return {row["tenant_id"]: usage_from(row) for row in session.execute(statement).mappings()}


def stored_by(session: Session, tenant: TenantId, *, until: date) -> Stored | None:
    """Return the newest sample of what the tenant has stored, of `until` or a day before."""
    of_tenant = UsageSampleRow.tenant_id == tenant.value
    day = session.scalar(select(func.max(UsageSampleRow.day)).where(of_tenant, UsageSampleRow.day <= until))
    if day is None:
        return None
    statement = select(UsageSampleRow.kind, UsageSampleRow.amount).where(of_tenant, UsageSampleRow.day == day)
    found = {kind: amount for kind, amount in session.execute(statement)}
    kinds = {kind.removeprefix(_BYTES): amount for kind, amount in found.items() if kind.startswith(_BYTES)}
    return Stored(day, sum(kinds.values()), kinds, found.get("items", 0), found.get("users", 0))


def sums() -> list[object]:
    """The columns that `usage_from` reads, for a statement over `usage_daily`."""
    counts = {"calls": UsageRow.status.in_(BILLED), "refused": UsageRow.status == "refused", "failed": _FAILED}
    found: list[object] = [
        func.coalesce(func.sum(case((when, UsageRow.calls), else_=0)), 0).label(name) for name, when in counts.items()
    ]
    others = [name for name in AMOUNTS if name != _CALLS]
    return found + [func.coalesce(func.sum(getattr(UsageRow, name)), 0).label(name) for name in others]


def usage_from(row: Mapping[Any, Any]) -> Usage:
    """Return the sums of one row of such a statement."""
    return Usage(
        calls=int(row["calls"]),
        refused_calls=int(row["refused"]),
        failed_calls=int(row["failed"]),
        recommended_items=int(row["recommended_items"]),
        events=int(row["events"]),
        uploaded_rows=int(row["uploaded_rows"]),
        training_seconds=int(row["training_ms"]) / 1000,
        cpu_seconds=int(row["cpu_ms"]) / 1000,
    )


def usage_from_amounts(amounts: Amounts, status: str) -> Usage:
    """Return what amounts with this class of status are as usage."""
    return Usage(
        calls=amounts.calls if status in BILLED else 0,
        refused_calls=amounts.calls if status == "refused" else 0,
        failed_calls=amounts.calls if status == "5xx" else 0,
        recommended_items=amounts.recommended_items,
        events=amounts.events,
        uploaded_rows=amounts.uploaded_rows,
        training_seconds=amounts.training_ms / 1000,
        cpu_seconds=amounts.cpu_ms / 1000,
    )


_FAILED = UsageRow.status == "5xx"
