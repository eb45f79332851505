"""One tenant's data, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake, TenantLake


@dataclass(frozen=True, slots=True)
class TenantStore:
    """The stored data of one tenant: its part of the lake, and its rows of the control DB."""

    lake: Lake
    db: ControlDb
    tenant: TenantId

    @property
    def folder(self) -> TenantLake:
        """The tenant's part of the lake."""
        return self.lake.tenant(self.tenant)
