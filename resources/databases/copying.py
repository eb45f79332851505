"""Every row of a database to another one, compared afterwards: of SQLite to PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    RowMapping,
    Table,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.types import String

from resources.base.errors import Conflict, CorruptArtifact, InvalidInput
from resources.databases.sqlite import WRITE

ROWS_AT_ONCE = 2_000
CopyProgress = Callable[[str, int, int], None]
"""Told the name of a table, how many of its rows are copied, and how many there are."""
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table that was copied; `checksum` is that of its rows, in hex, whatever their order."""

    table: str
    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class _Contents:
    rows: int
    total: int

    @property
    def checksum(self) -> str:
        return f"{self.total:064x}"


def copy_database(
    source: Engine, target: Engine, metadata: MetaData, *, on_progress: CopyProgress
) -> tuple[TableCopy, ...]:
    """Copy every row of the tables from SQLite to PostgreSQL, and return what was copied.

    Nobody can write into the source meanwhile. The target is changed in one transaction, which ends without a trace if
    anything is wrong, so that the same can be done again. Numbers that the source would give next are given next.

    Args:
        metadata: the tables, which both databases have.

    Raises:
        Conflict: the target holds rows already.
        InvalidInput: the source has values that PostgreSQL cannot hold; names the first of them.
        CorruptArtifact: the target does not hold what the source does; nothing was changed.
    """
    tables = metadata.sorted_tables
    with source.execution_options(**WRITE).connect() as old, target.begin() as new:
        old.begin()
        _require_empty(new, tables)
        _require_fitting(old, tables)
        for table in tables:
            _copy(old, new, table, on_progress)
        copies = tuple(_compared(old, new, table) for table in tables)
        for table in tables:
            _go_on_counting(old, new, table)
        old.rollback()
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return copies


def _require_empty(new: Connection, tables: Sequence[Table]) -> None:
    full = [table.name for table in tables if new.execute(select(table).limit(1)).first() is not None]
    if full:
        raise Conflict(
            f"The PostgreSQL database has rows in {', '.join(full)} already. Only an empty one can be moved to: make a "
            "new database, and name that one."
        )


def _require_fitting(old: Connection, tables: Sequence[Table]) -> None:
    problems = []
    for table in tables:
        texts = [column for column in table.columns if isinstance(column.type, String)]
        for rows in _pages(old, table):
            problems += [each for row in rows for column in texts if (each := _problem(table, column, row))]
            if len(problems) >= _MOST_PROBLEMS:
                break
    if problems:
        raise InvalidInput(
            f"PostgreSQL cannot hold these values: {'; '.join(problems[:_MOST_PROBLEMS])}. Change them in the SQLite "
            "file, or remove their rows, and move the installation then. Nothing was changed."
        )


def _problem(table: Table, column: Column[Any], row: RowMapping) -> str | None:
    value, most = row[column.name], column.type.length if isinstance(column.type, String) else None
    if not isinstance(value, str):
        return None
    if "\0" in value:
        found = "a NUL character"
    elif most is not None and len(value) > most:
        found = f"{len(value)} characters, {most} are allowed"
    elif any("\ud800" <= character <= "\udfff" for character in value):
        found = "half of a character (a lone surrogate)"
    else:
        return None
    key = ", ".join(f"{each.name}={str(row[each.name])[:60]!r}" for each in table.primary_key)
    return f"{table.name}.{column.name} of {key}: {found}"


def _copy(old: Connection, new: Connection, table: Table, on_progress: CopyProgress) -> None:
    count, done = old.scalar(select(func.count()).select_from(table)) or 0, 0
    on_progress(table.name, 0, count)
    for rows in _pages(old, table):
        new.execute(insert(table), [dict(row) for row in rows])
        done += len(rows)
        on_progress(table.name, done, count)


def _compared(old: Connection, new: Connection, table: Table) -> TableCopy:
    before, after = _contents(old, table), _contents(new, table)
    if before != after:
        raise CorruptArtifact(
            f"Table {table.name} has {before.rows:,} rows with the checksum {before.checksum[:12]} in SQLite, and "
            f"{after.rows:,} with {after.checksum[:12]} in PostgreSQL. Nothing was changed; please report this."
        )
    return TableCopy(table.name, after.rows, after.checksum)


def _contents(connection: Connection, table: Table) -> _Contents:
    """Count the rows and add up a hash of each: two databases put texts in another order."""
    rows = total = 0
    for page in _pages(connection, table):
        rows += len(page)
        for row in page:
            line = json.dumps(list(row.values()), sort_keys=True, default=_as_text)
            total += int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
    return _Contents(rows, total % 2**256)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _pages(connection: Connection, table: Table) -> Iterator[Sequence[RowMapping]]:
    """Rows in the order of the key, without holding all of them."""
    key = tuple(table.primary_key)
    statement = select(table).order_by(*key).limit(ROWS_AT_ONCE)
    after: tuple[Any, ...] | None = None
    while True:
        later = statement if after is None else statement.where(tuple_(*key) > tuple_(*after))
        page = connection.execute(later).mappings().all()
        if not page:
            return
        yield page
        after = tuple(literal(page[-1][column.name], column.type) for column in key)


def _go_on_counting(old: Connection, new: Connection, table: Table) -> None:
    """Let the next row have the number that SQLite would have given it: one that was used once is not used again."""
    column = table.autoincrement_column
    if column is None:
        return
    names = {"table": table.name, "column": column.name}
    if new.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), names) is None:
        return
    used = old.scalar(select(func.max(column))) or 0
    if old.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'")):
        ever = old.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        used = max(used, ever or 0)
    if used:
        new.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :used)"), {**names, "used": used})
