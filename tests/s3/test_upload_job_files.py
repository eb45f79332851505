"""Files that wait to be checked in an object store: only a lake is shared by the process that received and the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.jobs.kinds.uploads import UploadJobStatus
from resources.storage.lake import Lake
from tests.unit.resources.uploads.test_upload_jobs import ITEMS, Desk


def test_a_file_waits_in_the_store_and_is_removed_when_it_is_done(s3_lake: Lake, tmp_path: Path) -> None:
    now, tenant = datetime(2025, 6, 1, 12, tzinfo=UTC), TenantId("blue")
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, tenant, name="Blue", now=now)
    desk = Desk(tmp_path, s3_lake, db, tenant, now)
    lost = s3_lake.tenant(tenant).upload_jobs / "20200101T000000.000000-store-items-x"
    lost.write_bytes(b"left by a process that died")
    queued = desk.submit()
    (file,) = desk.files
    assert file.endswith(queued.job_id)
    assert desk.runner("dead").claim() is not None
    desk.now += timedelta(minutes=1)
    assert desk.run("two") is not None
    done = desk.job(queued)
    assert (done.status, done.received.bytes_total, desk.files) == (UploadJobStatus.STORED, len(ITEMS), [])
    assert len(desk.stored) == 1
    db.close()
