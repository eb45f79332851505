"""Work that is done once a day, by whichever process gets to it first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, update

from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditChoreRow
from resources.databases.inserting import insert_into

LEASE = timedelta(minutes=30)
"""How long one process may take before another does the work again."""


def once_a_day(db: ControlDb, name: str, now: datetime, work: Callable[[], None]) -> bool:
    """Do the day's work of this name (UTC), unless it is done or another process is at it. Whether it was done here.

    A process that ends in the middle is followed by another after `LEASE`: the work has to be one that can be repeated.
    """
    day = f"{now:%Y-%m-%d}"
    row = AuditChoreRow
    new = insert_into(db.engine, row).values(name=name, day="", claimed_until=now, done=True)
    free = or_(row.day < day, and_(row.day == day, row.done.is_(False), row.claimed_until < now))
    claim = update(row).where(row.name == name, free).values(day=day, claimed_until=now + LEASE, done=False)
    with db.write() as session:
        session.execute(new.on_conflict_do_nothing(index_elements=["name"]))
        if session.execute(claim.returning(row.name)).one_or_none() is None:
            return False
    work()
    with db.write() as session:
        session.execute(update(row).where(row.name == name, row.day == day).values(done=True))
    return True
