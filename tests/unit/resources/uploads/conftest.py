"""Inspecting with everyday settings at a fixed time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pytest
from upath import UPath

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.events.log import Event, EventLog
from resources.storage.lake import Lake, scan_parquet
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.compare import inspect_upload
from resources.uploads.checking.rejected import rejected_csv_chunks
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import scan_accepted, store_upload

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Inspected:
    """What `inspect_upload` leaves in its folder, read."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    csv: bytes
    report: UploadReport


class Inspect(Protocol):
    def __call__(self, kind: str, content: str | bytes | Path, **options: Any) -> Inspected: ...


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="module")
def inspect() -> Iterator[Inspect]:
    """For the module, because hypothesis calls a test many times with one fixture."""

    def run(kind: str, content: str | bytes | Path, **options: Any) -> Inspected:
        settings = {"filename": f"{kind}.csv", "settings": TenantSettings(), "now": NOW, "max_bytes": 50_000_000}
        data = content.encode() if isinstance(content, str) else content
        with tempfile.TemporaryDirectory() as work:
            settled = inspect_upload(Kind(kind), data, work=Path(work), **{**settings, **options})
            rejected = [UPath(each) for each in settled.rejected]
            return Inspected(
                accepted=scan_parquet([UPath(each) for each in settled.accepted]).collect(),
                rejected=scan_parquet(rejected).collect(),
                csv=b"".join(rejected_csv_chunks(rejected)),
                report=settled.report,
            )

    yield run


@dataclass(frozen=True)
class Shop:
    """A tenant with a lake and a control DB of its own."""

    lake: Lake
    db: ControlDb
    tenant: TenantId

    def put(self, kind: str, content: str | bytes | Path, *, minutes: int = 0, **options: Any) -> UploadReport:
        """Store a file that is received some minutes after `NOW`."""
        everyday = {"filename": f"{kind}.csv", "source": "cli", "settings": TenantSettings(), "max_bytes": 50_000_000}
        data = content.encode() if isinstance(content, str) else content
        now = NOW + timedelta(minutes=minutes)
        return store_upload(self.lake, self.db, self.tenant, Kind(kind), data, now=now, **{**everyday, **options})

    def track(self, *events: Event, minutes: int = 0) -> None:
        """Track events that arrive some minutes after `NOW`."""
        EventLog(self.db).append(self.tenant, events, now=NOW + timedelta(minutes=minutes))

    def lines(self, report: UploadReport) -> list[int]:
        """The lines of the accepted rows of an upload."""
        return scan_accepted(self.lake, self.tenant, report.upload_id).collect()["row_number"].to_list()


@pytest.fixture
def shop(tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId]) -> Shop:
    return Shop(Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, shops[0])
