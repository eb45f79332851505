"""Numbers for rows that come from another installation: a stretch of its own, above all that were ever given."""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from resources.control_db.tables.base import Base
from resources.databases.opening import is_postgresql
from resources.tenancy.archive import Numbers


def reserve(session: Session, table: type[Base], wanted: Numbers) -> int:
    """Reserve numbers for rows that have those from `wanted.first` to `wanted.last`; return what is added to each.

    It is 0 where these numbers are all still to come. Later rows of anybody have later numbers. The transaction is to
    end soon: others wait for it with their rows.
    """
    if not wanted.last:
        return 0
    name = table.__tablename__
    if is_postgresql(session.get_bind()):
        # Whoever has drawn a number has written its row before this lock is given, and nobody draws one meanwhile.
        session.execute(text(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"))
        sequence = session.scalar(text("SELECT pg_get_serial_sequence(:table, 'seq')"), {"table": name})
        used = session.scalar(text("SELECT nextval(CAST(:sequence AS regclass))"), {"sequence": sequence}) or 0
        offset = max(0, used - wanted.first + 1)
        last = max(used, wanted.last + offset)
        session.execute(text("SELECT setval(CAST(:sequence AS regclass), :last)"), {"sequence": sequence, "last": last})
        return offset
    ever = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": name}) or 0
    used = max(ever, session.scalar(select(func.max(table.__table__.c.seq))) or 0)
    offset = max(0, used - wanted.first + 1)
    last = max(used, wanted.last + offset)
    values = {"table": name, "last": last}
    session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), values)
    session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), values)
    return offset
