"""Uploads on an object store: the same as in a folder, repeats of earlier uploads among it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import read_report, rejected_csv, scan_accepted, store_upload

BLUE = TenantId("blue")
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
HEADER = "user_id,item_id,interaction_type,timestamp\n"
ROW = "{},i,view,2024-05-01T10:00:00Z\n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, BLUE, name="Blue", now=NOW)
    yield db
    db.close()


def put(lake: Lake, db: ControlDb, file: Path, content: str) -> UploadReport:
    file.write_text(content)
    return store_upload(
        TenantStore(lake, db, BLUE),
        IncomingUpload(Kind.INTERACTIONS, file, filename=file.name, origin="cli", received_at=NOW),
        UploadPolicy(TenantSettings(), max_bytes=10**6),
    )


def test_an_upload_is_stored_read_and_found_again(s3_lake: Lake, db: ControlDb, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    first = put(s3_lake, db, file, HEADER + ROW.format("ann") + ROW.format("bob") + ROW.format(""))
    assert read_report(s3_lake, BLUE, first.upload_id) == first
    assert b"user_id is empty" in b"".join(rejected_csv(s3_lake, BLUE, first.upload_id))
    folder = s3_lake.tenant(BLUE).upload(first.upload_id)
    names = [
        "accepted/part-000000.parquet",
        "keys.parquet",
        "original.csv",
        "rejected/part-000000.parquet",
        "report.json",
    ]
    assert sorted(stored.name for stored in list_files(folder)) == names
    second = put(s3_lake, db, file, HEADER + ROW.format("bob") + ROW.format("cid"))
    assert (second.rows_accepted, second.rows_duplicate) == (1, 1)
    assert scan_accepted(s3_lake, BLUE, second.upload_id).collect()["user_id"].to_list() == ["cid"]
    (folder / "keys.parquet").unlink()
    assert put(s3_lake, db, file, HEADER + ROW.format("ann")).rows_duplicate == 1
