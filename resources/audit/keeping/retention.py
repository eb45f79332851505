"""Entries that are removed because of their age: from the front of a chain, which stays verifiable."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import PLATFORM_CHAIN, Change, record
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditHeadRow, AuditRow

_AT_ONCE = 20_000
"""Entries that one transaction removes: meanwhile nobody else adds to the chain."""


def expire_entries(db: ControlDb, *, before: datetime, now: datetime, by: Actor = SYSTEM) -> int:
    """Remove the entries of all chains that are older than `before`; return how many.

    Of each chain an entry says up to which number they are gone, and the hash of the last of them, as its head does.
    """
    with db.read() as session:
        chains = session.scalars(select(AuditHeadRow.chain).order_by(AuditHeadRow.chain)).all()
    removed = 0
    for chain in chains:
        while gone := _expire(db, chain, before=before, now=now, by=by):
            removed += gone
    return removed


def _expire(db: ControlDb, chain: str, *, before: datetime, now: datetime, by: Actor) -> int:
    """Remove the oldest entries of a chain, some at once; 0 when none is old."""
    with db.read() as session:
        if not _until(session, chain, before):
            return 0
    with db.write() as session:
        head = session.get_one(AuditHeadRow, chain, with_for_update=True)
        until = _until(session, chain, before)
        if not until:
            return 0
        last = session.scalars(select(AuditRow.hash).where(AuditRow.chain == chain, AuditRow.number == until)).one()
        count = until - head.removed_until
        head.removed_until, head.removed_hash = until, last
        session.flush()
        session.execute(delete(AuditRow).where(AuditRow.chain == chain, AuditRow.number <= until))
        after = {"removed_until": until, "removed": count, "last_sha256": last, "older_than": before.isoformat()}
        change = Change(action="audit.expire", object_kind="audit", object_id=chain, after=after)
        record(session, by, change, tenant=None if chain == PLATFORM_CHAIN else TenantId(chain), now=now)
    return count


def _until(session: Session, chain: str, before: datetime) -> int:
    """The number of the newest entry of those at the front that are older than `before`, as far as one goes at once."""
    of_chain = AuditRow.chain == chain
    oldest = session.scalar(select(func.min(AuditRow.number)).where(of_chain))
    if oldest is None:
        return 0
    kept = session.scalar(select(func.min(AuditRow.number)).where(of_chain, AuditRow.at >= before))
    newest_old = kept - 1 if kept is not None else session.scalar(select(func.max(AuditRow.number)).where(of_chain))
    if newest_old is None or newest_old < oldest:
        return 0
    return min(newest_old, oldest + _AT_ONCE - 1)
