"""Storing uploads in a real lake and a real control DB."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.base.errors import CorruptArtifact, TenantNotFound, UploadNotFound, UploadRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import list_uploads
from resources.storage.lake import Lake, parts, scan_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads import store
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import read_report, rejected_csv, scan_accepted, store_upload
from tests.unit.resources.uploads.conftest import incoming, left

BLUE, GREEN = TenantId("blue"), TenantId("green")
FILE = b"item_id,title\n1,Lamp\n2,\n1,Lamp\n"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


@pytest.fixture
def db(db: ControlDb, shops: tuple[TenantId, TenantId]) -> ControlDb:
    """With the tenants `BLUE` and `GREEN` in it."""
    return db


def put(lake: Lake, db: ControlDb, now: datetime, content: bytes | Path = FILE, **options: Any) -> UploadReport:
    store = TenantStore(lake, db, options.pop("tenant", BLUE))
    return store_upload(store, *incoming("items", content, now=now, **{"max_bytes": 10**6, **options}), **left(options))


def files(lake: Lake, tenant: TenantId = BLUE) -> list[str]:
    return sorted(path.name for path in lake.tenant(tenant).root.rglob("*") if path.is_file())


def test_an_upload_is_stored_whole(lake: Lake, db: ControlDb, now: datetime, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(FILE)
    report = put(lake, db, now, source)
    assert files(lake) == ["keys.parquet", "original.csv", "part-000000.parquet", "part-000000.parquet", "report.json"]
    assert report.storage_location == f"tenants/blue/uploads/{report.upload_id}"
    assert (lake.root / report.storage_location / "original.csv").read_bytes() == FILE
    assert read_report(lake, BLUE, report.upload_id) == report
    assert scan_accepted(lake, BLUE, report.upload_id).collect()["upload_id"].to_list() == [report.upload_id]
    assert scan_parquet(parts(lake.tenant(BLUE).rejected(report.upload_id))).collect()["rejected_row"].to_list() == [3]
    (record,) = list_uploads(db, BLUE)
    assert (record.upload_id, record.status, record.source) == (report.upload_id, "partial", "cli")
    assert (record.rows_accepted, record.rows_rejected, record.rows_duplicate) == (1, 1, 1)


def test_the_same_file_again_changes_nothing(lake: Lake, db: ControlDb, now: datetime) -> None:
    first = put(lake, db, now)
    before = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")}
    again = put(lake, db, now.replace(year=2026), filename="again.csv")
    assert again == first.model_copy(update={"already_stored": True})
    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")} == before
    assert len(list_uploads(db, BLUE)) == 1


def test_a_checksum_that_is_known_is_not_computed_again(
    lake: Lake, db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, policy = incoming("items", FILE, now=now)
    sha256 = hashlib.sha256(FILE).hexdigest()
    monkeypatch.setattr(hashlib, "file_digest", None)
    report = store_upload(TenantStore(lake, db, BLUE), replace(upload, sha256=sha256), policy)
    assert report.sha256 == sha256
    assert report.upload_id == f"items-{sha256[:16]}"


def test_tenants_do_not_share_uploads(lake: Lake, db: ControlDb, now: datetime) -> None:
    report = put(lake, db, now)
    with pytest.raises(UploadNotFound, match="Tenant green has no upload"):
        read_report(lake, GREEN, report.upload_id)
    assert put(lake, db, now, tenant=GREEN).upload_id == report.upload_id
    assert len(list_uploads(db, GREEN)) == 1


def test_a_crash_before_the_commit_leaves_nothing_that_counts(
    lake: Lake, db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(store, "record_upload", die)
        put(lake, db, now)
    assert list_uploads(db, BLUE) == ()
    (folder,) = (lake.tenant(BLUE).root / "uploads").iterdir()
    for part in ("part-000000.parquet", "part-000001.parquet"):
        (folder / "accepted" / part).write_bytes(b"half")
    report = put(lake, db, now)
    assert scan_accepted(lake, BLUE, report.upload_id).collect().height == 1
    assert len(list_uploads(db, BLUE)) == 1


@pytest.mark.e2e
def test_a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    script = [sys.executable, str(Path(__file__).with_name("dying.py")), str(tmp_path)]
    ended = subprocess.run(
        script,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[4],
    )
    assert ended.returncode == 0, ended.stderr
    outcomes = json.loads(ended.stdout)
    assert len(outcomes) >= 10
    for outcome in outcomes:
        assert outcome["figures"] == [2, 1, 2]
        assert outcome["users"] == ["u0", "u1", "u2"]
        assert (outcome["uploads"], outcome["files"]) == (2, 10)
    # The last kills come after the commit.
    assert [outcome["already_stored"] for outcome in outcomes] == sorted(o["already_stored"] for o in outcomes)
    assert {outcome["already_stored"] for outcome in outcomes} == {False, True}


def test_a_wholly_rejected_file_is_recorded_and_a_refused_one_is_not(lake: Lake, db: ControlDb, now: datetime) -> None:
    with pytest.raises(UploadRefused):
        put(lake, db, now, b"")
    assert files(lake) == []
    assert put(lake, db, now, b"item_id,title\n,Lamp\n").status == "rejected"
    assert [record.status for record in list_uploads(db, BLUE)] == ["rejected"]


def test_validate_only_stores_nothing(lake: Lake, db: ControlDb, now: datetime) -> None:
    report = put(lake, db, now, validate_only=True)
    assert (report.validate_only, report.rows_accepted, report.storage_location) == (True, 1, None)
    assert (files(lake), list_uploads(db, BLUE)) == ([], ())


@pytest.mark.parametrize("upload_id", ["", "../x", "items-../../../../etc", "items-0123456789abcdef", "x" * 500])
def test_an_unknown_id_is_not_found(lake: Lake, db: ControlDb, upload_id: str) -> None:
    with pytest.raises(UploadNotFound):
        rejected_csv(lake, BLUE, upload_id)


def test_progress_is_told_in_bytes_and_may_break_off(lake: Lake, db: ControlDb, now: datetime, tmp_path: Path) -> None:
    source = tmp_path / "items.csv.gz"
    source.write_bytes(gzip.compress(b"item_id,title\n" + b"".join(b"%d,Lamp\n" % n for n in range(100)), mtime=0))
    told: list[int] = []
    put(lake, db, now, source, on_progress=told.append)
    assert told[-1] == source.stat().st_size
    assert told == sorted(told)

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        put(lake, db, now, on_progress=stop)
    assert len(list_uploads(db, BLUE)) == 1
    assert list((lake.scratch / "uploads").iterdir()) == []


def test_nobodys_upload_is_not_stored(lake: Lake, db: ControlDb, now: datetime) -> None:
    with pytest.raises(TenantNotFound):
        put(lake, db, now, tenant=TenantId("nobody"))


def test_a_damaged_report_says_so(lake: Lake, db: ControlDb, now: datetime) -> None:
    report = put(lake, db, now)
    path = lake.tenant(BLUE).upload(report.upload_id) / "report.json"
    path.write_text('{"upload_id": "x"}')
    with pytest.raises(CorruptArtifact, match="tenant blue"):
        read_report(lake, BLUE, report.upload_id)


def test_the_original_is_kept_by_its_format_and_not_its_name(lake: Lake, db: ControlDb, now: datetime) -> None:
    put(lake, db, now, filename="../../evil.exe")
    pl.DataFrame({"item_id": ["9"], "title": ["x"]}).write_parquet(lake.root / "p")
    put(lake, db, now, lake.root / "p", filename="p.parquet")
    assert [name for name in files(lake) if name.startswith("original")] == ["original.csv", "original.parquet"]
