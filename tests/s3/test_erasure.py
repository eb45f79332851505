"""A user is exported and erased from a lake in an object store as from one in a folder."""

from __future__ import annotations

from pathlib import Path

from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.erasure.export import export_user
from resources.events.export import export_events, scan_exported_events
from resources.release.load import load_release
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from tests.unit.resources.erasure.world import NOW, ZOE, World

BLUE = TenantId("blue")


def test_no_object_names_the_user(s3_lake: Lake, tmp_path: Path) -> None:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, BLUE, name="Blue", now=NOW)
    world = World(tmp_path, s3_lake, db, BLUE)
    world.fill(ZOE)
    live = world.store.current()
    assert live is not None
    load_release(world.store.directory(live), cache=world.store.cache)
    assert len(world.places_with(ZOE)) >= 15
    assert len(export_user(world.tenant_store, world.decisions, ZOE, now=NOW).uploads) == 2
    certificate = world.erase(ZOE)
    assert len(certificate.found) >= 15
    assert world.places_with(ZOE) == []
    assert not (world.store.cache / live).exists(), "this machine's copy is gone, too"
    copy = world.store.current()
    assert copy is not None
    assert list(load_release(world.store.directory(copy), cache=world.store.cache).user_rows) == ["ann"]
    assert world.store.rollback(NOW, "test").version != live
    export_events(TenantStore(world.lake, db, BLUE), now=NOW)
    exported = scan_exported_events(TenantStore(world.lake, db, BLUE)).collect()
    assert exported["user_id"].to_list() == ["ann", f"{ZOE}2", "bob"]
    db.close()
