"""What is done for the audit log once a day, by whichever process gets to it first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from upath import UPath

from resources.audit.keeping.heads import write_heads
from resources.audit.keeping.retention import expire_entries
from resources.base.errors import CorruptRelease
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditChoreRow
from resources.control_db.tenants import list_tenants
from resources.databases.opening import is_postgresql
from resources.storage.lake import Lake
from resources.stores.release_moves import note_moves
from resources.stores.tenant_store import TenantStore

_log = structlog.get_logger("recsaas.audit")
_LEASE = timedelta(minutes=30)
"""How long one process may take before another does the work again; both parts of it can be repeated."""


def heads_folder(settings: Settings, lake: Lake) -> UPath:
    """The folder of the heads: in the lake, or beside the databases where the service may not write into the lake."""
    return UPath(settings.home / "audit") if settings.lake_read_only else lake.root / "audit"


@dataclass(frozen=True, slots=True)
class AuditKeeper:
    """Adds the entries of releases that went live while their process died, removes old entries, writes heads down."""

    db: ControlDb
    lake: Lake
    settings: Settings
    clock: Clock

    def keep(self) -> bool:
        """Do the day's work, unless it is done or another process is at it. Whether it was done here."""
        now = self.clock()
        return _once_a_day(self.db, "keep", now, lambda: self._work(now))

    def _work(self, now: datetime) -> None:
        for tenant in list_tenants(self.db):
            try:
                note_moves(TenantStore(self.lake, self.db, tenant.id), now=now)
            except CorruptRelease as error:  # one broken shop keeps no other from it; its own pages show what is broken
                _log.warning("release_moves_unread", tenant=tenant.id.value, reason=error.message)
        expire_entries(self.db, before=now - timedelta(days=self.settings.audit_days), now=now)
        write_heads(self.db, heads_folder(self.settings, self.lake), now=now)


def _once_a_day(db: ControlDb, name: str, now: datetime, work: Callable[[], None]) -> bool:
    day = f"{now:%Y-%m-%d}"
    row = AuditChoreRow
    insert = postgresql_insert if is_postgresql(db.engine) else sqlite_insert
    new = insert(row).values(name=name, day="", claimed_until=now, done=True)
    free = or_(row.day < day, and_(row.day == day, row.done.is_(False), row.claimed_until < now))
    claim = update(row).where(row.name == name, free).values(day=day, claimed_until=now + _LEASE, done=False)
    with db.write() as session:
        session.execute(new.on_conflict_do_nothing(index_elements=["name"]))
        if session.execute(claim.returning(row.name)).one_or_none() is None:
            return False
    work()
    with db.write() as session:
        session.execute(update(row).where(row.name == name, row.day == day).values(done=True))
    return True
