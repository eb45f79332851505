"""The rows of a tenant in the control DB, whichever tables there are: found by their columns, in an order in which they
can go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, delete, func, select, tuple_
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.metadata import METADATA
from resources.control_db.tables.audit import AuditHeadRow, AuditRow
from resources.control_db.tables.people import MailRow, MemberRow, MembershipRow
from resources.control_db.tables.sessions import LoginFailureRow, SigningKeyRow
from resources.control_db.tables.tenants import TenantRow

ROWS_AT_ONCE = 5_000
"""Rows that one transaction removes: others write in between."""
OWNER = "tenant_id"
KEPT = (TenantRow, AuditRow, AuditHeadRow)
"""Tables that keep their rows: the id is never given out again, and what was done stays proven."""
OF_PEOPLE = (MemberRow, MembershipRow, LoginFailureRow, SigningKeyRow)
"""Tables about people, who may belong to several tenants, and of the platform itself."""


def erasable_tables() -> tuple[Table, ...]:
    """The tables with rows of one tenant, those that refer to others before them."""
    left = {each.__tablename__ for each in (*KEPT, *OF_PEOPLE)}
    return tuple(table for table in reversed(METADATA.sorted_tables) if table.name not in left and _has_owner(table))


def unowned_tables() -> tuple[str, ...]:
    """The tables whose rows are nobody's and that are not listed here: an erasure would miss them."""
    left = {each.__tablename__ for each in (*KEPT, *OF_PEOPLE)}
    members = MemberRow.__tablename__
    return tuple(
        table.name
        for table in METADATA.sorted_tables
        if table.name not in left and not _has_owner(table) and _reference(table, members) is None
    )


def count_owned_rows(db: ControlDb, table: Table, tenant: TenantId, *, but_job: str) -> int:
    """How many rows of the tenant a table has, without the job `but_job`."""
    with db.read() as session:
        statement = select(func.count()).select_from(table).where(_theirs(table, tenant, but_job))
        return session.scalar(statement) or 0


def remove_owned_rows(db: ControlDb, table: Table, tenant: TenantId, *, but_job: str) -> None:
    """Remove the rows of the tenant from a table, a piece in each transaction."""
    key = tuple(table.primary_key)
    some = select(*key).where(_theirs(table, tenant, but_job)).limit(ROWS_AT_ONCE)
    while True:
        with db.write() as session:
            rows = session.execute(some).all()
            if rows:
                session.execute(delete(table).where(_is_one_of(key, rows)))
        if len(rows) < ROWS_AT_ONCE:
            return


def count_people(db: ControlDb, tenant: TenantId) -> tuple[int, int]:
    """How many belong to the tenant, and how many of them belong nowhere else and have no office."""
    with db.read() as session:
        mine = session.scalar(select(func.count()).where(MembershipRow.tenant_id == tenant.value)) or 0
        return mine, len(_only_here(session, tenant))


def remove_people(db: ControlDb, tenant: TenantId) -> None:
    """End all memberships of the tenant, and remove those people who belong nowhere else, with all that is theirs."""
    with db.write() as session:
        gone = _only_here(session, tenant)
        session.execute(delete(MembershipRow).where(MembershipRow.tenant_id == tenant.value))
        addresses = session.scalars(select(MemberRow.email).where(MemberRow.id.in_(gone))).all()
        session.execute(delete(MailRow).where(MailRow.recipient.in_(addresses)))
        for table in reversed(METADATA.sorted_tables):
            reference = _reference(table, MemberRow.__tablename__)
            if reference is not None:
                session.execute(delete(table).where(reference.in_(gone)))
        session.execute(delete(MemberRow).where(MemberRow.id.in_(gone)))


def _only_here(session: Session, tenant: TenantId) -> Sequence[str]:
    elsewhere = select(MembershipRow.member_id).where(MembershipRow.tenant_id != tenant.value)
    here = select(MembershipRow.member_id).where(MembershipRow.tenant_id == tenant.value)
    members = select(MemberRow.id).where(
        MemberRow.id.in_(here), MemberRow.id.not_in(elsewhere), MemberRow.office_role.is_(None)
    )
    return session.scalars(members).all()


def _has_owner(table: Table) -> bool:
    return OWNER in table.columns or any(_has_owner(parent) for _, parent in _parents(table))


def _theirs(table: Table, tenant: TenantId, but_job: str) -> ColumnElement[bool]:
    if OWNER in table.columns:
        mine = table.c[OWNER] == tenant.value
        return and_(mine, table.c.id != but_job) if table.name == "jobs" else mine
    (column, parent), *_ = [each for each in _parents(table) if _has_owner(each[1])]
    (key,) = parent.primary_key
    return column.in_(select(key).where(_theirs(parent, tenant, but_job)))


def _parents(table: Table) -> Iterator[tuple[Column[Any], Table]]:
    """Tables that rows of this one belong to, but for tenants and people."""
    for key in table.foreign_keys:
        if key.column.table.name not in (TenantRow.__tablename__, MemberRow.__tablename__, table.name):
            yield key.parent, key.column.table


def _reference(table: Table, name: str) -> Column[Any] | None:
    return next((key.parent for key in table.foreign_keys if key.column.table.name == name), None)


def _is_one_of(key: tuple[Column[Any], ...], rows: Sequence[Any]) -> ColumnElement[bool]:
    return key[0].in_([row[0] for row in rows]) if len(key) == 1 else tuple_(*key).in_([tuple(row) for row in rows])
