"""What is done for the audit log once a day, by whichever process gets to it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from upath import UPath

from resources.audit.keeping.heads import write_heads
from resources.audit.keeping.retention import expire_entries
from resources.base.errors import CorruptRelease
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import list_tenants
from resources.jobs.daily import once_a_day
from resources.storage.lake import Lake
from resources.stores.release_moves import note_moves
from resources.stores.tenant_store import TenantStore

_log = structlog.get_logger("recsaas.audit")


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
        return once_a_day(self.db, "keep", now, lambda: self._work(now))

    def _work(self, now: datetime) -> None:
        for tenant in list_tenants(self.db):
            try:
                note_moves(TenantStore(self.lake, self.db, tenant.id), now=now)
            except CorruptRelease as error:  # one broken shop keeps no other from it; its own pages show what is broken
                _log.warning("release_moves_unread", tenant=tenant.id.value, reason=error.message)
        expire_entries(self.db, before=now - timedelta(days=self.settings.audit_days), now=now)
        write_heads(self.db, heads_folder(self.settings, self.lake), now=now)
