"""From one control DB to another: what serving needs of some tenants, for a package and its service, or every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, insert, select, text

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.metadata import METADATA
from resources.control_db.tables.base import Base
from resources.control_db.tables.catalogue import ItemChangeRow, RuleRow
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.tenants import TenantRow, TenantVersionRow
from resources.databases.copying import CopyProgress, TableCopy, copy_database

_FIRST_NUMBER = """
INSERT INTO sqlite_sequence (name, seq) SELECT :table, 0 WHERE :table NOT IN (SELECT name FROM sqlite_sequence)
"""
_STATE: tuple[type[Base], ...] = (RuleRow, ItemChangeRow, TenantVersionRow)


def take_over(
    source: ControlDb, target: ControlDb, tenants: Sequence[TenantId], *, keys: bool, numbers: Mapping[str, int]
) -> None:
    """Make the target know these tenants as the source does: their settings, rules, changes of items and active keys.

    What the target has of these kinds goes, also that of other tenants, who can then no longer be asked for: their keys
    go. Its events stay. Without `keys` no key is copied or removed. Everything happens in one transaction.

    Args:
        target: on SQLite.
        numbers: by table, a number that the next row of the target must be above: rows below a release's watermark
            would count as known to it.
    """
    names = [tenant.value for tenant in tenants]
    kinds = (*_STATE, *((ApiKeyRow,) if keys else ()))
    with source.read() as session:
        found = {}
        for kind in (TenantRow, *kinds):
            owner = kind.__table__.c["id" if kind is TenantRow else "tenant_id"]
            statement = select(kind.__table__).where(owner.in_(names))
            if kind is ApiKeyRow:
                statement = statement.where(ApiKeyRow.revoked_at.is_(None))
            found[kind] = [dict(row) for row in session.execute(statement).mappings()]
    with target.write() as session:
        for row in found[TenantRow]:
            session.merge(TenantRow(**row))
        session.flush()
        for kind in kinds:
            session.execute(delete(kind))
            if found[kind]:
                session.execute(insert(kind), found[kind])
        for table, number in numbers.items():
            values = {"table": table, "number": number}
            session.execute(text(_FIRST_NUMBER), values)
            session.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :table"), values)


def copy_control_db(source: ControlDb, target: ControlDb, *, on_progress: CopyProgress) -> tuple[TableCopy, ...]:
    """Copy every row of a control DB on SQLite to an empty one on PostgreSQL, and compare them.

    Raises:
        Conflict, InvalidInput, CorruptArtifact: as `copy_database`; the target is as it was.
    """
    return copy_database(source.engine, target.engine, METADATA, on_progress=on_progress)
