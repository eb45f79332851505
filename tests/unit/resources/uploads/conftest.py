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
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.compare import inspect_upload
from resources.uploads.checking.rejected import rejected_csv_chunks
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.limits import DEFAULT_LIMITS
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import scan_accepted, store_upload

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


def incoming(kind: str, content: str | bytes | Path, **options: Any) -> tuple[IncomingUpload, UploadPolicy]:
    """An upload with everyday settings, received at `NOW` where `options` do not say otherwise."""
    everyday = {"filename": f"{kind}.csv", "origin": "cli", "now": NOW, "settings": TenantSettings()}
    given = {**everyday, "max_bytes": 50_000_000, "limits": DEFAULT_LIMITS, "validate_only": False, **options}
    data = content.encode() if isinstance(content, str) else content
    upload = IncomingUpload(
        Kind(kind),
        data,
        filename=given["filename"],
        origin=given["origin"],
        received_at=given["now"],
        validate_only=given["validate_only"],
    )
    return upload, UploadPolicy(given["settings"], given["max_bytes"], given["limits"])


def left(options: dict[str, Any]) -> dict[str, Any]:
    """The options that `incoming` does not take."""
    taken = {"filename", "origin", "now", "settings", "max_bytes", "limits", "validate_only"}
    return {name: value for name, value in options.items() if name not in taken}


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
        with tempfile.TemporaryDirectory() as work:
            checked = inspect_upload(*incoming(kind, content, **options), work=Path(work), **left(options))
            rejected = [UPath(each) for each in checked.rejected]
            return Inspected(
                accepted=scan_parquet([UPath(each) for each in checked.accepted]).collect(),
                rejected=scan_parquet(rejected).collect(),
                csv=b"".join(rejected_csv_chunks(rejected)),
                report=checked.report,
            )

    yield run


@dataclass(frozen=True)
class Shop:
    """A tenant with a lake and a control DB of its own."""

    lake: Lake
    db: ControlDb
    tenant: TenantId

    @property
    def store(self) -> TenantStore:
        return TenantStore(self.lake, self.db, self.tenant)

    def put(self, kind: str, content: str | bytes | Path, *, minutes: int = 0, **options: Any) -> UploadReport:
        """Store a file that is received some minutes after `NOW`."""
        given = incoming(kind, content, **{"now": NOW + timedelta(minutes=minutes), **options})
        return store_upload(self.store, *given, **left(options))

    def track(self, *events: Event, minutes: int = 0) -> None:
        """Track events that arrive some minutes after `NOW`."""
        EventLog(self.db).append(self.tenant, events, now=NOW + timedelta(minutes=minutes))

    def lines(self, report: UploadReport) -> list[int]:
        """The lines of the accepted rows of an upload."""
        return scan_accepted(self.lake, self.tenant, report.upload_id).collect()["row_number"].to_list()


@pytest.fixture
def shop(tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId]) -> Shop:
    return Shop(Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, shops[0])
