"""What a tenant has used, line by line: grouped by day, key and operation in any combination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.plans import UsageRow
from resources.usage.current import Usage, sums, usage_from

Group = Literal["day", "key", "operation"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""What usage may be grouped by, in the order in which lines are sorted."""
LinePlace = tuple[str, ...]
"""Where a line stands: the values it is grouped by, as text."""
_COLUMNS = {"day": UsageRow.day, "key": UsageRow.key_id, "operation": UsageRow.operation}


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One line; what it is not grouped by is None. `key_id` is empty where no key or member did it."""

    usage: Usage
    day: date | None = None
    key_id: str | None = None
    operation: str | None = None

    def place(self, groups: Sequence[Group]) -> LinePlace:
        """Return where it stands among lines with the same groups."""
        values = {"day": self.day, "key": self.key_id, "operation": self.operation}
        return tuple(str(values[group]) for group in groups)


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Which lines are asked for: UTC days from `since` to `until`, both included; `groups` in the order of `GROUPS`."""

    tenant: TenantId
    since: date
    until: date
    groups: tuple[Group, ...]


def usage_lines(
    session: Session, asked: UsageQuestion, *, after: LinePlace | None = None, limit: int | None = None
) -> Iterator[UsageLine]:
    """Yield lines in the order of their groups, from the one after `after` on."""
    columns = [_COLUMNS[group] for group in asked.groups]
    statement = (
        select(*columns, *sums())
        .where(UsageRow.tenant_id == asked.tenant.value, UsageRow.day.between(asked.since, asked.until))
        .group_by(*columns)
        .order_by(*columns)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(*columns) > tuple_(*_values(asked.groups, after)))
    for row in session.execute(statement).mappings():
        yield UsageLine(
            usage_from(row),
            day=row["day"] if "day" in asked.groups else None,
            key_id=row["key_id"] if "key" in asked.groups else None,
            operation=row["operation"] if "operation" in asked.groups else None,
        )


def _values(groups: Sequence[Group], place: LinePlace) -> list[ColumnElement[Any]]:
    return [
        literal(date.fromisoformat(text) if group == "day" else text, _COLUMNS[group].type)
        for group, text in zip(groups, place, strict=True)
    ]
