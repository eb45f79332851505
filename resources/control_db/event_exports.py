"""The ledger of exported events: which pieces of the event log are in the lake. Readers know a piece only from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.event_rows import NOBODY
from resources.control_db.tables.events import EventExportRow, EventRow
from resources.control_db.tables.tenants import TenantRow, take_turns


@dataclass(frozen=True, slots=True)
class EventExport:
    """Events `first_seq` to `last_seq` of one tenant. `file` is a name in the tenant's folder of events."""

    tenant: TenantId
    first_seq: int
    last_seq: int
    rows: int
    file: str
    sha256: str
    created_at: datetime


def list_event_exports(db: ControlDb, tenant: TenantId) -> tuple[EventExport, ...]:
    """The tenant's pieces in the order of the log."""
    statement = (
        select(EventExportRow).where(EventExportRow.tenant_id == tenant.value).order_by(EventExportRow.first_seq)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def record_event_export(db: ControlDb, piece: EventExport, *, after: EventExport | None) -> bool:
    """Note `piece` when the ledger still ends with `after`, as it was; False when somebody else was quicker.

    A piece that begins where a recorded one does takes its place.
    """
    ledger = select(EventExportRow).where(EventExportRow.tenant_id == piece.tenant.value)
    with db.write() as session:
        take_turns(session, piece.tenant)
        newest = session.scalars(ledger.order_by(EventExportRow.first_seq.desc()).limit(1)).one_or_none()
        if (None if newest is None else _record(newest)) != after:
            return False
        session.merge(_row(piece))
    return True


def replace_event_export(db: ControlDb, before: EventExport, piece: EventExport) -> bool:
    """Let `piece` take the place of `before`, which holds the same stretch; False when that is no longer recorded."""
    with db.write() as session:
        take_turns(session, before.tenant)
        row = session.get(EventExportRow, (before.tenant.value, before.first_seq))
        if row is None or (row.last_seq, row.sha256) != (before.last_seq, before.sha256):
            return False
        session.merge(_row(piece))
    return True


def forget_event_exports(db: ControlDb, tenant: TenantId, *, first_seq: int) -> int:
    """Forget the pieces that begin at `first_seq` or later, so that they are exported again; return how many."""
    later = (EventExportRow.tenant_id == tenant.value, EventExportRow.first_seq >= first_seq)
    with db.write() as session:
        take_turns(session, tenant)
        count = session.scalar(select(func.count()).select_from(EventExportRow).where(*later)) or 0
        session.execute(delete(EventExportRow).where(*later))
    return count


def tenants_with_new_events(db: ControlDb) -> tuple[TenantId, ...]:
    """Active tenants with events of users that no piece holds, by id."""
    # Named to correlate: by itself the inner query would take the greatest number of all tenants.
    exported = (
        select(func.max(EventExportRow.last_seq))
        .where(EventExportRow.tenant_id == TenantRow.id)
        .correlate(TenantRow)
        .scalar_subquery()
    )
    waiting = (
        select(EventRow.seq)
        .where(
            EventRow.tenant_id == TenantRow.id, EventRow.user_id != NOBODY, EventRow.seq > func.coalesce(exported, 0)
        )
        .correlate(TenantRow)
    )
    with db.read() as session:
        mine = select(TenantRow.id).where(TenantRow.status == "active", waiting.exists())
        found = session.scalars(mine.order_by(TenantRow.id))
        return tuple(TenantId(tenant) for tenant in found)


def _row(piece: EventExport) -> EventExportRow:
    return EventExportRow(
        tenant_id=piece.tenant.value,
        first_seq=piece.first_seq,
        last_seq=piece.last_seq,
        rows=piece.rows,
        file=piece.file,
        sha256=piece.sha256,
        created_at=piece.created_at,
    )


def _record(row: EventExportRow) -> EventExport:
    return EventExport(
        tenant=TenantId(row.tenant_id),
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        rows=row.rows,
        file=row.file,
        sha256=row.sha256,
        created_at=row.created_at,
    )
