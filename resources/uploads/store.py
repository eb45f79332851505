"""Storing an upload: files in the lake first, then one row in the control DB. That commit is the acknowledgement."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import ValidationError
from upath import UPath

from resources.base.errors import Conflict, CorruptArtifact, TooLarge, UploadNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.items import ItemChange, newest_item_change
from resources.control_db.uploads import UploadRecord, counting_uploads, list_uploads, record_upload
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, part_name, parts, put_file, read_json, scan_parquet, write_bytes, write_json
from resources.storage.listing import remove_folder
from resources.storage.upload_lock import upload_lock
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.assemble import Settled
from resources.uploads.checking.compare import compare_with_stored
from resources.uploads.checking.inspect import inspect_source
from resources.uploads.checking.rejected import rejected_csv_chunks
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import DEFAULT_LIMITS, UploadLimits
from resources.uploads.contract.quality import upload_quality
from resources.uploads.contract.report import UploadReport
from resources.uploads.deduplication.keys import KEYS_FILE, write_keys
from resources.uploads.parsing.source import Source, identify
from resources.uploads.parsing.validation import rules_fingerprint

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
    limits: UploadLimits = DEFAULT_LIMITS,
    on_progress: Callable[[int], None] | None = None,
    work: Path | None = None,
) -> UploadReport:
    """Inspect a file in this process and store it, unless `validate_only`; `store_in_child` is for a stranger's files.

    Content that is stored already answers the first report.

    What takes long runs beside other uploads of the tenant; they take turns to compare with what is stored and to
    store. A process that dies before the commit leaves a folder nobody reads, and the next try overwrites it.

    Args:
        on_progress: told how many bytes of the source have been read; may raise to break off.
        work: an empty folder for what is found; without it, one that is removed at the end.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over `max_bytes`, or it or the tenant would have more
            rows than `limits` allow.
        TakesLong: it is too much work for the answer that `limits` say somebody waits for; nothing is stored.
        UploadRefused: the file cannot be read at all; nothing is stored.
        TenantNotFound: no tenant has this id; nothing is stored.
    """
    found = identify(content, filename=filename, max_bytes=max_bytes)
    fingerprint = rules_fingerprint(kind, settings)
    upload_id, stored = _known(lake, db, tenant, kind, found.sha256, fingerprint, now)
    if stored is not None:
        return stored.model_copy(update={"validate_only": validate_only})
    with upload_folder(lake) if work is None else nullcontext(work) as work:
        inspection = inspect_source(
            kind,
            found,
            upload_id=upload_id,
            settings=settings,
            now=now,
            max_bytes=max_bytes,
            limits=limits,
            work=work,
            on_progress=on_progress,
        )
        with nullcontext() if validate_only else upload_lock(lake, tenant):
            again, stored = _known(lake, db, tenant, kind, found.sha256, fingerprint, now)
            if stored is not None:
                return stored.model_copy(update={"validate_only": validate_only})
            if again != upload_id and kind is not Kind.ITEMS:  # that of items only says what came by API meanwhile
                raise Conflict(
                    f"The rules or the uploads of tenant {tenant} changed while {found.filename} was checked; "
                    "send it again."
                )
            settled = compare_with_stored(lake, db, tenant, inspection, now=now, max_bytes=max_bytes, work=work)
            report = settled.report.model_copy(
                update={"rules_fingerprint": fingerprint, "validate_only": validate_only}
            )
            counting = counting_uploads(db, tenant)
            _check_room(report, counting, limits.max_tenant_rows)
            quality = upload_quality(report, counting, now=now)
            report = report.model_copy(update={"quality": quality})
            if validate_only:
                return report
            keys = write_keys([inspection.by_key, inspection.by_event], gone=settled.gone, work=work)
            report = _write(lake, tenant, found, settled, keys, report)
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


def upload_folder(lake: Lake) -> AbstractContextManager[Path]:
    """An empty folder for what is found in a file, removed at the end."""
    return work_folder(lake.scratch / "uploads", "upload")


def stored_report(
    lake: Lake, db: ControlDb, tenant: TenantId, kind: Kind, sha256: str, settings: TenantSettings, *, now: datetime
) -> UploadReport | None:
    """Return what `store_upload` would answer for content with this checksum that is stored already, else None."""
    return _known(lake, db, tenant, kind, sha256, rules_fingerprint(kind, settings), now)[1]


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


def scan_accepted(lake: Lake, tenant: TenantId, upload_id: str) -> pl.LazyFrame:
    """Return the accepted rows of a stored upload in file order: `accepted_schema(kind)`, extra columns, no more.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: its parts are missing.
    """
    return scan_parquet(_parts(lake, tenant, upload_id, "accepted"))


def scan_rejected(lake: Lake, tenant: TenantId, upload_id: str) -> pl.LazyFrame:
    """Return the rejected rows of a stored upload: `rejected_row`, `rejected_reason`, and the file's columns as text.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: its parts are missing.
    """
    return scan_parquet(_parts(lake, tenant, upload_id, "rejected"))


def rejected_csv(lake: Lake, tenant: TenantId, upload_id: str) -> Iterator[bytes]:
    """Return the rejected rows of a stored upload as CSV for people, in pieces.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: its parts are missing.
    """
    return rejected_csv_chunks(_parts(lake, tenant, upload_id, "rejected"))


def _known(
    lake: Lake, db: ControlDb, tenant: TenantId, kind: Kind, sha256: str, fingerprint: str, now: datetime
) -> tuple[str, UploadReport | None]:
    """Return the id for this content, and its report when it is stored.

    The same content has the same id. It is worth another look, under another id, when it may say something new: rows
    of it were rejected and the tenant has changed the rules since, items were changed by API since, it does not count
    any more (it was withdrawn), or rows of it repeated an upload that does not.
    """
    uploads = list_uploads(db, tenant, kind=kind.value)
    known = {upload.upload_id: upload for upload in uploads}
    changed = newest_item_change(db, tenant) if kind is Kind.ITEMS else None
    upload_id = f"{kind}-{sha256[:16]}"
    seen: set[str] = set()
    while upload_id in known and upload_id not in seen:
        seen.add(upload_id)
        upload = known[upload_id]
        news = _since(upload, uploads, changed, now) or _other_rules(lake, upload, fingerprint)
        if news is None:
            break
        upload_id = f"{kind}-{hashlib.sha256(f'{sha256}{news}'.encode()).hexdigest()[:16]}"
    if upload_id not in known:
        return upload_id, None
    return upload_id, read_report(lake, tenant, upload_id).model_copy(update={"already_stored": True})


def _since(
    upload: UploadRecord, uploads: Sequence[UploadRecord], changed: ItemChange | None, now: datetime
) -> str | None:
    """Return what makes the content of an upload new again, received at `now`; None when nothing does."""
    if upload.left_out_at is not None and upload.left_out_at <= now:
        return f" again after {upload.sequence}"
    if changed is not None and changed.created_at > upload.created_at:
        return f" after {changed.seq}"
    if upload.rows_duplicate:
        gone = [each for each in uploads if each.left_out_at and upload.created_at < each.left_out_at <= now]
        if gone:
            return f" without {max(each.sequence for each in gone)} of {len(gone)}"
    return None


def _other_rules(lake: Lake, upload: UploadRecord, fingerprint: str) -> str | None:
    """Return the fingerprint of the rules now, if an upload had rejected rows under others."""
    if not upload.rows_rejected:
        return None
    report = read_report(lake, upload.tenant, upload.upload_id)
    return fingerprint if report.rules_fingerprint != fingerprint else None


def _check_room(report: UploadReport, stored: Sequence[UploadRecord], most: int) -> None:
    rows = sum(upload.rows_accepted for upload in stored)
    if rows + report.rows_accepted > most:
        largest = sorted(stored, key=lambda upload: upload.rows_accepted, reverse=True)[:3]
        held = ", ".join(f"{upload.upload_id} with {upload.rows_accepted:,}" for upload in largest) or "none"
        raise TooLarge(
            f"{report.filename} has {report.rows_accepted:,} new rows, {rows:,} rows are stored, and at most {most:,} "
            f"are kept of one tenant (RECSAAS_MAX_TENANT_ROWS). Send less, or withdraw an upload with DELETE "
            f"/api/v1/uploads/ID or `recsaas uploads withdraw`; the largest: {held}."
        )


def _write(
    lake: Lake, tenant: TenantId, source: Source, settled: Settled, keys: Path, report: UploadReport
) -> UploadReport:
    """Put everything into the upload's folder, which nobody reads before the commit."""
    folder = lake.tenant(tenant).upload(report.upload_id)
    remove_folder(folder)  # a dead attempt may have left more parts than this one has
    if isinstance(source.content, bytes):
        write_bytes(folder / f"original{source.format}", source.content)
    else:
        put_file(source.content, folder / f"original{source.format}")
    for files, target in (
        (settled.accepted, lake.tenant(tenant).accepted(report.upload_id)),
        (settled.rejected, lake.tenant(tenant).rejected(report.upload_id)),
    ):
        for number, file in enumerate(files):
            put_file(file, target / part_name(number))
    put_file(keys, folder / KEYS_FILE)
    report = report.model_copy(update={"storage_location": folder.relative_to(lake.root).as_posix()})
    write_json(folder / "report.json", report.model_dump(mode="json"))
    return report


def _parts(lake: Lake, tenant: TenantId, upload_id: str, which: Literal["accepted", "rejected"]) -> tuple[UPath, ...]:
    found = parts(_folder(lake, tenant, upload_id) / which)
    if not found:
        raise CorruptArtifact(f"The {which} rows of upload {upload_id} of tenant {tenant} are missing from the lake.")
    return found


def _folder(lake: Lake, tenant: TenantId, upload_id: str) -> UPath:
    if _UPLOAD_ID.fullmatch(upload_id):
        folder = lake.tenant(tenant).upload(upload_id)
        if (folder / "report.json").exists():
            return folder
    raise UploadNotFound(f"Tenant {tenant} has no upload {upload_id[:80]!r}; list the uploads to see which it has.")
