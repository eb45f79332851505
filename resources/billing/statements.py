"""The statement of a tenant's month: what was used, and what it costs. Once made it never changes."""

from __future__ import annotations

import hashlib
import json
import re
from calendar import monthrange
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import structlog
from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, CorruptArtifact, InvalidInput
from resources.base.tenant import TenantId
from resources.billing.prices import PriceList, Unit, UnitPrice
from resources.control_db.tables.plans import StatementRow, UsageSampleRow
from resources.databases.inserting import insert_into
from resources.usage.current import Usage, usage_of
from resources.webhooks.announcing import announce

LATE = timedelta(hours=1)
"""After the end of a month so long is waited for counts that were held up, before its statements are made."""
_PLACES = 6
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_GIGABYTE = 10**9
_log = structlog.get_logger("recsaas.usage")


@dataclass(frozen=True, slots=True, order=True)
class BillingMonth:
    """A month in UTC.

    Raises:
        InvalidInput: there is none with this number.
    """

    year: int
    number: int

    def __post_init__(self) -> None:
        if not (1 <= self.number <= 12 and 2000 <= self.year <= 9998):
            raise InvalidInput("A month is written like 2026-10.")

    @classmethod
    def parse(cls, text: str) -> BillingMonth:
        """Return the month that `2026-10` names."""
        if not _MONTH.fullmatch(text):
            raise InvalidInput(f"{text[:20]!r} is not a month; write it like 2026-10.")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def of(cls, day: date) -> BillingMonth:
        """Return the month of a day."""
        return cls(day.year, day.month)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return date(self.year, self.number, monthrange(self.year, self.number)[1])

    @property
    def before(self) -> BillingMonth:
        """The month before."""
        return BillingMonth.of(self.first - timedelta(days=1))

    def is_over(self, now: datetime) -> bool:
        """Whether its statement may be made for good."""
        return now.astimezone(UTC) - LATE >= datetime(self.year, self.number, 1, tzinfo=UTC) + timedelta(
            days=monthrange(self.year, self.number)[1]
        )

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement. `content` is JSON with decimals as text; `hash` its SHA-256, None while the month runs."""

    tenant: TenantId
    month: BillingMonth
    content: Mapping[str, Any]
    hash: str | None


def statement_so_far(
    session: Session, tenant: TenantId, month: BillingMonth, prices: PriceList, *, now: datetime
) -> Statement:
    """Return what the statement of a month would be now; nothing is stored."""
    usage = usage_of(session, tenant, since=month.first, until=month.last)
    quantities = _quantities(usage, _mean_bytes(session, tenant, month))
    lines = [_line(price, quantities[price.unit], prices.decimals) for price in prices.prices]
    monthly = _rounded(Fraction(prices.monthly), prices.decimals)
    total = monthly + sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    content = {
        "tenant": tenant.value,
        "month": str(month),
        "from": month.first.isoformat(),
        "to": month.last.isoformat(),
        "so_far": not month.is_over(now),
        "made_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "currency": prices.currency,
        "monthly": f"{monthly:f}",
        "lines": lines,
        "total": f"{_rounded(Fraction(total), prices.decimals):f}",
    }
    return Statement(tenant, month, content, None)


def make_statement(
    session: Session, tenant: TenantId, month: BillingMonth, prices: PriceList, *, now: datetime, by: Actor = SYSTEM
) -> Statement:
    """Store the statement of a month that is over, announce it, and return it; one that is there already stays.

    Raises:
        Conflict: the month is not over.
    """
    if not month.is_over(now):
        raise Conflict(f"The month {month} is not over; its statement is made an hour after its end.")
    made = statement_so_far(session, tenant, month, prices, now=now)
    text = _text(made.content)
    values = {
        "tenant_id": tenant.value,
        "month": str(month),
        "made_at": now,
        "content": text,
        "hash": _hash(text),
    }
    new = (
        insert_into(session.get_bind(), StatementRow)
        .values(**values)
        .on_conflict_do_nothing()
        .returning(StatementRow.month)
    )
    if session.execute(new).first() is None:
        found = find_statement(session, tenant, month)
        if found is None:
            raise Conflict(f"The statement of {tenant} for {month} is made elsewhere in this moment; try again.")
        return found
    told: dict[str, JsonValue] = {name: made.content[name] for name in ("month", "currency", "total")}
    record(
        session,
        by,
        Change(action="statement.make", object_kind="statement", object_id=str(month), after=told),
        tenant=tenant,
        now=now,
    )
    announce(session, tenant, "usage.statement", {**made.content, "sha256": _hash(text)}, now=now)
    return Statement(tenant, month, made.content, _hash(text))


def find_statement(session: Session, tenant: TenantId, month: BillingMonth) -> Statement | None:
    """Return the stored statement of a month, None when there is none.

    Raises:
        CorruptArtifact: it was changed since it was made.
    """
    row = session.get(StatementRow, (tenant.value, str(month)))
    return None if row is None else _statement(row)


def list_statements(
    session: Session, tenant: TenantId, *, limit: int, before: BillingMonth | None = None
) -> tuple[Statement, ...]:
    """Return stored statements of a tenant, newest first, of months before `before`.

    Raises:
        CorruptArtifact: one was changed since it was made.
    """
    of_tenant = select(StatementRow).where(StatementRow.tenant_id == tenant.value)
    if before is not None:
        of_tenant = of_tenant.where(StatementRow.month < str(before))
    rows = session.scalars(of_tenant.order_by(StatementRow.month.desc()).limit(limit))
    return tuple(_statement(row) for row in rows)


def statements_to_tell(session: Session, *, limit: int) -> tuple[Statement, ...]:
    """Return the oldest statements that the platform's billing system has not taken yet.

    Those that were changed since they were made are logged and left out: they hold up no other.
    """
    untold = select(StatementRow).where(StatementRow.told_at.is_(None))
    rows = untold.order_by(StatementRow.month, StatementRow.tenant_id).execution_options(yield_per=limit)
    found: list[Statement] = []
    with closing(session.scalars(rows)) as waiting:
        for row in waiting:
            try:
                found.append(_statement(row))
            except CorruptArtifact as error:
                _log.error("statement_changed", tenant=row.tenant_id, month=row.month, reason=str(error))
            if len(found) == limit:
                break
    return tuple(found)


def note_told(session: Session, statement: Statement, *, now: datetime) -> None:
    """Note that the platform's billing system has taken a statement."""
    row = session.get(StatementRow, (statement.tenant.value, str(statement.month)))
    if row is not None:
        row.told_at = now


def _statement(row: StatementRow) -> Statement:
    if _hash(row.content) != row.hash:
        raise CorruptArtifact(
            f"The statement of tenant {row.tenant_id} for {row.month} was changed after it was made. "
            "Restore the row from a backup."
        )
    return Statement(TenantId(row.tenant_id), BillingMonth.parse(row.month), json.loads(row.content), row.hash)


def _quantities(usage: Usage, mean_bytes: Fraction) -> dict[Unit, Decimal]:
    exact: dict[Unit, Fraction] = {
        "calls": Fraction(usage.calls),
        "recommended_items": Fraction(usage.recommended_items),
        "events": Fraction(usage.events),
        "uploaded_rows": Fraction(usage.uploaded_rows),
        "training_minutes": Fraction(round(usage.training_seconds * 1000), 60_000),
        "cpu_minutes": Fraction(round(usage.cpu_seconds * 1000), 60_000),
        "stored_gigabytes": mean_bytes / _GIGABYTE,
    }
    return {unit: _rounded(value, _PLACES) for unit, value in exact.items()}


def _mean_bytes(session: Session, tenant: TenantId, month: BillingMonth) -> Fraction:
    """Mean of the days that have a sample."""
    of_month = (UsageSampleRow.tenant_id == tenant.value, UsageSampleRow.day.between(month.first, month.last))
    days = session.scalar(select(func.count(func.distinct(UsageSampleRow.day))).where(*of_month)) or 0
    bytes_ = UsageSampleRow.kind.startswith("bytes:")
    total = session.scalar(select(func.sum(UsageSampleRow.amount)).where(*of_month, bytes_)) or 0
    return Fraction(int(total), days) if days else Fraction(0)


def _line(price: UnitPrice, quantity: Decimal, decimals: int) -> dict[str, str]:
    billed = max(Decimal(0), quantity - price.free)
    amount = Fraction(billed) / Fraction(price.per) * Fraction(price.price)
    return {
        "unit": price.unit,
        "quantity": _plain(quantity),
        "free": _plain(price.free),
        "billed": _plain(billed),
        "per": _plain(price.per),
        "price": _plain(price.price),
        "amount": f"{_rounded(amount, decimals):f}",
    }


def _rounded(value: Fraction, places: int) -> Decimal:
    """Round to so many decimals, a half away from zero; no value here is negative."""
    return Decimal(floor(value * 10**places + Fraction(1, 2))).scaleb(-places)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
