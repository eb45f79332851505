"""Storing an upload: files in the lake first, then one row in the control DB. That commit is the acknowledgement."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import ValidationError
from upath import UPath

from resources.control_db.engine import ControlDb
from resources.control_db.uploads import UploadRecord, find_upload, list_uploads, record_upload
from resources.errors import CorruptArtifact, UploadNotFound
from resources.lake import Lake, read_json, read_parquet, write_bytes, write_json, write_parquet
from resources.tenant import TenantId
from resources.tenant_settings import TenantSettings
from resources.uploads.contract import Kind
from resources.uploads.inspect import inspect_source, upload_id_of
from resources.uploads.report import UploadReport
from resources.uploads.source import identify

UploadOrigin = Literal["http", "cli", "landing"]
_UPLOAD_ID = re.compile(r"(items|users|interactions)-[0-9a-f]{16}")


def store_upload(
    lake: Lake,
    db: ControlDb,
    tenant: TenantId,
    kind: Kind,
    content: Path | bytes,
    *,
    filename: str,
    source: UploadOrigin,
    settings: TenantSettings,
    now: datetime,
    max_bytes: int,
    validate_only: bool = False,
) -> UploadReport:
    """Inspect a file and store it, unless `validate_only`. The same file again answers the first report.

    A process that dies before the commit leaves a folder nobody reads, and the next try overwrites it.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over `max_bytes`.
        UploadRefused: the file cannot be read at all; nothing is stored.
    """
    found = identify(content, filename=filename, max_bytes=max_bytes)
    upload_id = upload_id_of(kind, found.sha256)
    if not validate_only and find_upload(db, tenant, upload_id) is not None:
        return read_report(lake, tenant, upload_id)
    catalogue = _catalogue(lake, db, tenant) if kind is Kind.INTERACTIONS else None
    inspection = inspect_source(kind, found, settings=settings, now=now, max_bytes=max_bytes, catalogue=catalogue)
    if validate_only:
        return inspection.report.model_copy(update={"validate_only": True})
    folder = lake.tenant(tenant).upload(upload_id)
    location = folder.relative_to(lake.root).as_posix()
    report = inspection.report.model_copy(update={"storage_location": location})
    _write_original(folder / f"original{found.format}", content)
    write_parquet(folder / "accepted.parquet", inspection.accepted)
    write_parquet(folder / "rejected.parquet", inspection.rejected)
    write_json(folder / "report.json", report.model_dump(mode="json"))
    record_upload(
        db,
        UploadRecord(
            tenant=tenant,
            upload_id=upload_id,
            kind=kind.value,
            sha256=found.sha256,
            filename=found.filename,
            source=source,
            status=report.status.value,
            rows_accepted=report.rows_accepted,
            rows_rejected=report.rows_rejected,
            rows_duplicate=report.rows_duplicate,
            created_at=now,
        ),
    )
    return report


def read_report(lake: Lake, tenant: TenantId, upload_id: str) -> UploadReport:
    """Return the report of a stored upload.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: the stored report is not readable.
    """
    path = _folder(lake, tenant, upload_id) / "report.json"
    try:
        return UploadReport.model_validate(read_json(path))
    except ValidationError as error:
        raise CorruptArtifact(f"The report of upload {upload_id} of tenant {tenant} is damaged.") from error


def read_accepted(lake: Lake, tenant: TenantId, upload_id: str) -> pl.DataFrame:
    """Return the accepted rows of a stored upload, in the shape of `accepted_schema(kind)` plus extra columns.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: the stored file is missing or not readable.
    """
    return read_parquet(_folder(lake, tenant, upload_id) / "accepted.parquet")


def read_rejected(lake: Lake, tenant: TenantId, upload_id: str) -> pl.DataFrame:
    """Return the rejected rows of a stored upload: `rejected_row`, `rejected_reason`, and the file's columns as text.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: the stored file is missing or not readable.
    """
    return read_parquet(_folder(lake, tenant, upload_id) / "rejected.parquet")


def _catalogue(lake: Lake, db: ControlDb, tenant: TenantId) -> pl.Series | None:
    """Return the ids of every uploaded item; None when none was."""
    records = [r for r in list_uploads(db, tenant, kind=Kind.ITEMS.value) if r.rows_accepted]
    ids = [_item_ids(_folder(lake, tenant, record.upload_id) / "accepted.parquet") for record in records]
    return pl.concat(ids).unique() if ids else None


def _item_ids(path: UPath) -> pl.Series:
    with path.open("rb") as handle:
        return pl.read_parquet(handle, columns=["item_id"])["item_id"]


def _folder(lake: Lake, tenant: TenantId, upload_id: str) -> UPath:
    if _UPLOAD_ID.fullmatch(upload_id):
        folder = lake.tenant(tenant).upload(upload_id)
        if (folder / "report.json").exists():
            return folder
    raise UploadNotFound(f"Tenant {tenant} has no upload {upload_id[:80]!r}; list the uploads to see which it has.")


def _write_original(path: UPath, content: Path | bytes) -> None:
    """Keep the file as it came, without holding it in memory where the lake is a folder."""
    if isinstance(content, bytes):
        write_bytes(path, content)
        return
    if not isinstance(path, Path):
        write_bytes(path, content.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with content.open("rb") as source, open(beside, "wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(target.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
