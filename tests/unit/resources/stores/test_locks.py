"""Locks of one tenant: on one machine by a file, and by the database between machines that share a lake."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.storage.lake import Lake
from resources.storage.run_lock import tenant_run_lock
from resources.stores.locks import run_lock, upload_lock

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]


def test_one_run_of_a_tenant_at_a_time_on_this_machine(db: ControlDb, shops: Shops, tmp_path: Path) -> None:
    with run_lock(db, tmp_path, shops[0], wait_seconds=0, run_id="run-1") as lock:
        lock.keep()
        with pytest.raises(Conflict, match="still going"), tenant_run_lock(tmp_path, shops[0], wait_seconds=0):
            pass
        with run_lock(db, tmp_path, shops[1], wait_seconds=0):
            pass
    with run_lock(db, tmp_path, shops[0], wait_seconds=0):
        pass


@pytest.mark.databases("postgresql")
def test_one_run_of_a_tenant_at_a_time_on_all_machines(
    db: ControlDb, database_url: str, shops: Shops, tmp_path: Path
) -> None:
    told: list[str] = []
    with closing(open_control_db(database_url)) as other:
        with run_lock(db, tmp_path / "one", shops[0], wait_seconds=0):
            with (
                pytest.raises(Conflict, match="on another machine"),
                run_lock(other, tmp_path / "two", shops[0], wait_seconds=0.05, on_wait=told.append),
            ):
                pass
            with run_lock(other, tmp_path / "two", shops[1], wait_seconds=0):
                pass
        assert told == ["Waiting for a run of tenant blue on another machine to end."]
        with run_lock(other, tmp_path / "two", shops[0], wait_seconds=0):
            pass


def test_an_upload_lock_is_free_after_an_error(db: ControlDb, shops: Shops, tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    with pytest.raises(RuntimeError, match="boom"), upload_lock(db, lake, shops[0]):
        raise RuntimeError("boom")
    with upload_lock(db, lake, shops[0]):
        pass
