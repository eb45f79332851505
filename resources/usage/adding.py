"""Adding to the amounts of a day, in the transaction of whoever has stored or done what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from resources.control_db.tables.plans import UsageBatchRow, UsageRow
from resources.databases.inserting import insert_into
from resources.databases.opening import is_postgresql
from resources.usage.amounts import AMOUNTS, Amounts, Counted


@dataclass(frozen=True, slots=True)
class Batch:
    """Amounts that one process has counted. Its `number` grows by one from batch to batch of a worker, from 1."""

    worker: str
    number: int
    entries: Mapping[Counted, Amounts]


def add_usage(session: Session, entries: Mapping[Counted, Amounts]) -> None:
    """Add amounts to those that are there.

    Rows are always taken in one order, so that two transactions never wait for each other; add all of a transaction
    in one call, as its last statement where that is possible.
    """
    rows = [
        {
            "tenant_id": key.tenant,
            "day": key.day,
            "key_id": key.key_id,
            "operation": key.operation,
            "status": key.status,
            **{name: getattr(amounts, name) for name in AMOUNTS},
        }
        for key, amounts in sorted(entries.items(), key=lambda entry: entry[0])
        if amounts
    ]
    if rows:
        session.execute(_upsert(on_postgresql=is_postgresql(session.get_bind())), rows)


def add_batch(session: Session, batch: Batch, *, now: datetime) -> bool:
    """Add a batch of counts, unless it or a later one of its worker was added before; tell whether it was added.

    A process that does not know whether its transaction was committed may just try again.
    """
    new = insert_into(session.get_bind(), UsageBatchRow).values(
        worker=batch.worker, number=batch.number, written_at=now
    )
    statement = new.on_conflict_do_update(
        index_elements=[UsageBatchRow.worker],
        set_={"number": new.excluded.number, "written_at": new.excluded.written_at},
        where=UsageBatchRow.number < new.excluded.number,
    ).returning(UsageBatchRow.number)
    if session.execute(statement).first() is None:
        return False
    add_usage(session, batch.entries)
    return True


@cache
def _upsert(*, on_postgresql: bool) -> PostgresqlInsert | SqliteInsert:
    table = UsageRow.__table__
    if on_postgresql:
        insert = postgresql_insert(table)  # type: ignore[arg-type]
        added = {name: table.c[name] + insert.excluded[name] for name in AMOUNTS}
        return insert.on_conflict_do_update(index_elements=table.primary_key.columns, set_=added)  # type: ignore[attr-defined]
    of_sqlite = sqlite_insert(table)  # type: ignore[arg-type]
    added = {name: table.c[name] + of_sqlite.excluded[name] for name in AMOUNTS}
    return of_sqlite.on_conflict_do_update(index_elements=list(table.primary_key), set_=added)
