"""Archives as jobs: with their entries in the audit log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from resources.access.actor import Actor
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.control_db.tables.audit import AuditRow
from resources.jobs import store
from resources.jobs.kinds.tenant_exports import list_tenant_exports
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenancy.exports import submit_tenant_export

ANN = Actor(kind="member", id="ann", name="ann@example.com", source="api")


@pytest.mark.databases
def test_an_archive_is_asked_for_with_its_entry_or_not_at_all(
    tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = TenantStore(Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, shops[0])

    class Died(Exception):
        """The process ends."""

    def die(*_: object, **__: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(store, "record", die)
        with pytest.raises(Died):
            submit_tenant_export(tenant, by=ANN, now=now)
    assert list_tenant_exports(db, shops[0], limit=5) == ()
    key = WriteKey.of("k-1", "tenant export")
    first, again = (submit_tenant_export(tenant, by=ANN, now=now, key=key) for _ in range(2))
    assert (first.id, first.requested_by) == (again.id, "member:ann")
    with db.read() as session:
        entries = session.scalars(select(AuditRow).where(AuditRow.action == "tenant.export")).all()
    assert [(entry.actor_name, entry.object_id) for entry in entries] == [("ann@example.com", first.id)]
