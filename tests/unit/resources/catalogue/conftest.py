"""A shop whose items come by files and by API, minute by minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resources.base.tenant import TenantId
from resources.catalogue.items import ItemCatalogue, ItemQuery
from resources.control_db.engine import ControlDb
from resources.control_db.items import AppendedItems, ItemEdit, append_item_changes
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import store_upload

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@dataclass
class ItemShop:
    """One tenant, with a lake and a control DB of its own. Everything happens a minute after the thing before."""

    lake: Lake
    db: ControlDb
    tenant: TenantId
    minutes: int = 0

    def later(self) -> datetime:
        self.minutes += 1
        return NOW + timedelta(minutes=self.minutes)

    def upload(self, csv: str, *, kind: Kind = Kind.ITEMS, now: datetime | None = None) -> UploadReport:
        return store_upload(
            TenantStore(self.lake, self.db, self.tenant),
            IncomingUpload(kind, csv.encode(), filename=f"{kind}.csv", origin="cli", received_at=now or self.later()),
            UploadPolicy(TenantSettings(), max_bytes=1_000_000),
        )

    def put(self, item_id: str, **fields: Any) -> AppendedItems:
        return self.append(ItemEdit(item_id, "put", fields))

    def patch(self, item_id: str, **fields: Any) -> AppendedItems:
        return self.append(ItemEdit(item_id, "patch", fields))

    def delete(self, item_id: str) -> AppendedItems:
        return self.append(ItemEdit(item_id, "delete", {}))

    def append(self, *edits: ItemEdit, now: datetime | None = None) -> AppendedItems:
        return append_item_changes(self.db, self.tenant, edits, now=now or self.later())

    def catalogue(self) -> dict[str, tuple[str | None, float | None, str | None]]:
        """Title, price and category of every item."""
        found = ItemCatalogue(self.lake, self.db).page(self.tenant, ItemQuery(limit=1000))
        return {item.item_id: (item.title, item.price, item.category) for item in found}


@pytest.fixture
def shop(tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId]) -> ItemShop:
    return ItemShop(Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, shops[0])


@pytest.fixture
def other_shop(shop: ItemShop, shops: tuple[TenantId, TenantId]) -> ItemShop:
    """Another tenant of the same installation."""
    return ItemShop(shop.lake, shop.db, shops[1])
