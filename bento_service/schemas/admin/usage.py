"""Answers of the routes about usage and statements."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from bento_service.schemas.common import Answer
from resources.billing.prices import Unit
from resources.billing.statements import Statement
from resources.usage.current import Stored, Usage
from resources.usage.listing import UsageLine


class UsageSums(Answer):
    """What was used. Failed and refused calls are not billed."""

    calls: int = Field(description="Answered calls: neither refused nor failed by our fault.")
    refused_calls: int = Field(description="Answered with 401, 402, 403 or 429.")
    failed_calls: int = Field(description="Answered with 500 or more.")
    recommended_items: int
    events: int = Field(description="Tracked events that were stored.")
    uploaded_rows: int = Field(description="Accepted rows of files.")
    training_seconds: float
    cpu_seconds: float = Field(description="Processor time of training runs.")

    @classmethod
    def of(cls, usage: Usage) -> UsageSums:
        """Show sums."""
        return cls(**_sums(usage))


class UsageEntry(UsageSums):
    """One line; what it is not grouped by is left null. `key_id` is empty for what no key or member has done."""

    day: date | None = None
    key_id: str | None = None
    operation: str | None = None

    @classmethod
    def of_line(cls, line: UsageLine) -> UsageEntry:
        """Show a line."""
        return cls(day=line.day, key_id=line.key_id, operation=line.operation, **_sums(line.usage))


class StoredNow(Answer):
    """The newest daily sample of what is stored."""

    day: date
    storage_bytes: int
    bytes_by_kind: dict[str, int]
    items: int = Field(description="Items that the live release knows.")
    users: int = Field(description="Users that the live release knows.")

    @classmethod
    def of(cls, stored: Stored) -> StoredNow:
        """Show a sample."""
        return cls(
            day=stored.day,
            storage_bytes=stored.storage_bytes,
            bytes_by_kind=dict(stored.bytes_by_kind),
            items=stored.items,
            users=stored.users,
        )


class UsagePage(Answer):
    """Usage of a tenant from one UTC day to another, both included."""

    tenant_id: str
    since: date = Field(serialization_alias="from")
    until: date = Field(serialization_alias="to")
    group: tuple[str, ...]
    total: UsageSums = Field(description="Of all lines, not of this page alone.")
    stored: StoredNow | None = Field(description="Null until the first sample, which is taken within the hour.")
    usage: tuple[UsageEntry, ...]
    next_cursor: str | None


class StatementLine(Answer):
    """One unit. `amount` is (`quantity` − `free`) / `per` × `price`, rounded half up; decimals are texts."""

    unit: Unit
    quantity: str
    free: str
    billed: str
    per: str
    price: str
    amount: str


class StatementAnswer(Answer):
    """The statement of a month. `so_far`: the month still runs, and it will be another one."""

    tenant_id: str
    month: str
    first_day: date = Field(serialization_alias="from")
    last_day: date = Field(serialization_alias="to")
    status: Literal["so_far", "final"]
    made_at: datetime
    currency: str
    monthly: str
    lines: tuple[StatementLine, ...]
    total: str
    sha256: str | None = Field(description="Of the stored statement; null while it is not final.")

    @classmethod
    def of(cls, statement: Statement) -> StatementAnswer:
        """Show a statement."""
        content = statement.content
        return cls(
            tenant_id=statement.tenant.value,
            month=str(statement.month),
            first_day=content["from"],
            last_day=content["to"],
            status="so_far" if statement.hash is None else "final",
            made_at=content["made_at"],
            currency=content["currency"],
            monthly=content["monthly"],
            lines=tuple(StatementLine(**line) for line in content["lines"]),
            total=content["total"],
            sha256=statement.hash,
        )


class StatementPage(Answer):
    """Statements, newest first. The first page begins with that of the running month."""

    statements: tuple[StatementAnswer, ...]
    next_cursor: str | None


def _sums(usage: Usage) -> dict[str, float]:
    return {name: getattr(usage, name) for name in UsageSums.model_fields}
