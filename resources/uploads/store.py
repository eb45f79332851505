"""Storing an upload: files in the lake first, then one row in the control DB. That commit is the acknowledgement."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import ValidationError
from upath import UPath

from resources.base.errors import Conflict, CorruptArtifact, TooLarge, UploadNotFound
from resources.base.tenant import TenantId
from resources.control_db.items import ItemChange, ItemEdit, newest_item_change, newest_item_changes
from resources.control_db.uploads import UploadRecord, counting_uploads, list_uploads, record_upload
from resources.plans.allowances import allowance_of
from resources.plans.checks import check_room, check_rows, check_stored
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, part_name, parts, put_file, read_json, scan_parquet, write_bytes, write_json
from resources.storage.listing import remove_folder
from resources.stores.locks import upload_lock
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.assemble import CheckedUpload, preview_of
from resources.uploads.checking.compare import compare_with_stored
from resources.uploads.checking.inspect import FileCheck, Inspection, inspect_file
from resources.uploads.checking.rejected import rejected_csv_chunks
from resources.uploads.contract.columns import Kind, ValueType, columns
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.quality import upload_quality
from resources.uploads.contract.report import UploadReport
from resources.uploads.deduplication.keys import KEYS_FILE, write_keys
from resources.uploads.item_count import count_items
from resources.uploads.normalising.ids import in_one_form
from resources.uploads.parsing.uploaded_file import UploadedFile, identify
from resources.uploads.parsing.validation import has_ids_in_one_form, mapping_fingerprint, rules_fingerprint

_LAST = datetime.max.replace(tzinfo=UTC)
_UPLOAD_ID = re.compile(r"(items|users|interactions)-[0-9a-f]{16}")


def store_upload(
    store: TenantStore,
    upload: IncomingUpload,
    policy: UploadPolicy,
    *,
    on_progress: Callable[[int], None] | None = None,
    work: Path | None = None,
) -> UploadReport:
    """Check a file in this process and store it, unless it is only to be validated.

    `store_in_child` is for a stranger's files. Content that is stored already answers the first report.

    What takes long runs beside other uploads of the tenant; they take turns to compare with what is stored and to
    store. A process that dies before the commit leaves a folder nobody reads, and the next try overwrites it.

    Args:
        on_progress: told how many bytes of the file, as it was sent, have been read; may raise to break off.
        work: an empty folder for what is found; without it, one that is removed at the end.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over `max_bytes`, or it or the tenant would have more
            rows than `limits` allow.
        TakesLong: it is too much work for the answer that `limits` say somebody waits for; nothing is stored.
        UploadRefused: the file cannot be read at all; nothing is stored.
        TenantNotFound: no tenant has this id; nothing is stored.
    """
    file = identify(upload.content, filename=upload.filename, max_bytes=policy.max_bytes, sha256=upload.sha256)
    fingerprint = rules_fingerprint(upload.kind, policy.settings)
    upload_id, stored = _known(store, upload.kind, file.sha256, fingerprint, upload.received_at)
    if stored is not None:
        return stored.model_copy(update={"validate_only": upload.validate_only})
    check = FileCheck(upload.kind, file, upload_id, upload.received_at, policy)
    with upload_folder(store.lake) if work is None else nullcontext(work) as work:
        inspection = inspect_file(check, work=work, on_progress=on_progress)
        with nullcontext() if upload.validate_only else upload_lock(store.db, store.lake, store.tenant):
            return _compare_and_store(store, upload, inspection, fingerprint, work)


def upload_folder(lake: Lake) -> AbstractContextManager[Path]:
    """An empty folder for what is found in a file, removed at the end."""
    return work_folder(lake.scratch / "uploads", "upload")


def stored_report(
    store: TenantStore, kind: Kind, sha256: str, settings: TenantSettings, *, now: datetime
) -> UploadReport | None:
    """Return what `store_upload` would answer for content with this checksum that is stored already, else None."""
    return _known(store, kind, sha256, rules_fingerprint(kind, settings), now)[1]


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

    Ids are in the one form of each, also in what an earlier version has stored.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: its parts are missing.
    """
    rows = scan_parquet(_parts(lake, tenant, upload_id, "accepted"))
    report = read_json(_folder(lake, tenant, upload_id) / "report.json")
    if has_ids_in_one_form(str(report.get("rules_fingerprint", ""))):
        return rows
    kind = Kind(upload_id.partition("-")[0])
    return in_one_form(rows, [spec.name for spec in columns(kind) if spec.value_type is ValueType.ID])


def rejected_csv(lake: Lake, tenant: TenantId, upload_id: str) -> Iterator[bytes]:
    """Return the rejected rows of a stored upload as CSV for people, in pieces.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptArtifact: its parts are missing.
    """
    return rejected_csv_chunks(_parts(lake, tenant, upload_id, "rejected"))


def catalogue_size(store: TenantStore, *, uploaded: Sequence[pl.LazyFrame] = (), edits: Sequence[ItemEdit] = ()) -> int:
    """Count the items of the tenant, or those that it would have with these rows of a file, or these edits, on top."""
    uploads = counting_uploads(store.db, store.tenant, kind=Kind.ITEMS.value)
    scans = [(each.created_at, scan_accepted(store.lake, store.tenant, each.upload_id)) for each in uploads]
    told = newest_item_changes(store.db, store.tenant, actions=("put", "delete"))
    changes = [*told, *((edit.item_id, edit.action, _LAST) for edit in edits)]
    return count_items([*scans, *((_LAST, rows) for rows in uploaded)], changes)


def _compare_and_store(
    store: TenantStore, upload: IncomingUpload, inspection: Inspection, fingerprint: str, work: Path
) -> UploadReport:
    """Report on an inspected file and store it, while no other upload of the tenant is stored."""
    check, now = inspection.check, upload.received_at
    again, stored = _known(store, check.kind, check.file.sha256, fingerprint, now)
    if stored is not None:
        return stored.model_copy(update={"validate_only": upload.validate_only})
    if again != check.upload_id and check.kind is not Kind.ITEMS:  # that of items only says what came by API meanwhile
        raise Conflict(
            f"The rules or the uploads of tenant {store.tenant} changed while {check.file.filename} was checked; "
            "send it again."
        )
    checked = compare_with_stored(store, inspection, now=now, work=work)
    counting = counting_uploads(store.db, store.tenant)
    _check_room(checked.report, counting, check.policy.limits.max_tenant_rows)
    _check_plan(store, check, checked)
    more = {"rules_fingerprint": fingerprint, "validate_only": upload.validate_only}
    report = checked.report.model_copy(update=more)
    report = report.model_copy(update={"quality": upload_quality(report, counting, now=now)})
    if upload.validate_only:
        return report.model_copy(update={"preview": preview_of(checked)})
    keys = write_keys([inspection.by_key, inspection.by_event], gone=checked.gone, work=work)
    report = _write(store, check.file, checked, keys, report)
    record_upload(store.db, _record(store.tenant, upload, report), by=upload.by)
    return report


def _record(tenant: TenantId, upload: IncomingUpload, report: UploadReport) -> UploadRecord:
    return UploadRecord(
        tenant=tenant,
        upload_id=report.upload_id,
        kind=report.kind.value,
        sha256=report.sha256,
        filename=report.filename,
        source=upload.origin,
        status=report.status.value,
        rows_accepted=report.rows_accepted,
        rows_rejected=report.rows_rejected,
        rows_duplicate=report.rows_duplicate,
        created_at=upload.received_at,
    )


def _known(
    store: TenantStore, kind: Kind, sha256: str, fingerprint: str, now: datetime
) -> tuple[str, UploadReport | None]:
    """Return the id for this content, and its report when it is stored.

    The same content has the same id. It is worth another look, under another id, when it may say something new: rows
    of it were rejected and the tenant has changed the rules since, items were changed by API since, it does not count
    any more (it was withdrawn), or rows of it repeated an upload that does not.
    """
    uploads = list_uploads(store.db, store.tenant, kind=kind.value)
    known = {upload.upload_id: upload for upload in uploads}
    changed = newest_item_change(store.db, store.tenant) if kind is Kind.ITEMS else None
    upload_id = f"{kind}-{sha256[:16]}"
    seen: set[str] = set()
    while upload_id in known and upload_id not in seen:
        seen.add(upload_id)
        upload = known[upload_id]
        news = _since(upload, uploads, changed, now) or _other_rules(store.lake, upload, fingerprint)
        if news is None:
            break
        upload_id = f"{kind}-{hashlib.sha256(f'{sha256}{news}'.encode()).hexdigest()[:16]}"
    if upload_id not in known:
        return upload_id, None
    return upload_id, read_report(store.lake, store.tenant, upload_id).model_copy(update={"already_stored": True})


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
    """Return the fingerprint of the rules now, if an upload had rejected rows under others or another mapping."""
    known = read_report(lake, upload.tenant, upload.upload_id).rules_fingerprint
    other_mapping = mapping_fingerprint(known) != mapping_fingerprint(fingerprint)
    return fingerprint if known != fingerprint and (upload.rows_rejected or other_mapping) else None


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


def _check_plan(store: TenantStore, check: FileCheck, checked: CheckedUpload) -> None:
    """Refuse a file whole for which the tenant's plan leaves no room, before anything of it is stored."""
    tenant, now, rows = store.tenant, check.received_at, checked.report.rows_accepted
    with store.db.read() as session:
        allowance = allowance_of(session, tenant, now=now)
        if not allowance.limited:
            return
        check_rows(session, tenant, rows, now=now)
        users = check.kind is not Kind.ITEMS and rows > 0
        check_stored(session, tenant, check.file.size, users=users, now=now)
    if check.kind is Kind.ITEMS and allowance.limits.items is not None:
        more = [pl.scan_parquet(part) for part in checked.accepted]
        before, after = catalogue_size(store), catalogue_size(store, uploaded=more)
        if after > before:
            check_room(allowance, "items", before, after - before, now=now)


def _write(
    store: TenantStore, file: UploadedFile, checked: CheckedUpload, keys: Path, report: UploadReport
) -> UploadReport:
    """Put everything into the upload's folder, which nobody reads before the commit."""
    tenant_lake = store.folder
    folder = tenant_lake.upload(report.upload_id)
    remove_folder(folder)  # a dead attempt may have left more parts than this one has
    if isinstance(file.content, bytes):
        write_bytes(folder / f"original{file.format}", file.content)
    else:
        put_file(file.content, folder / f"original{file.format}")
    for files, target in (
        (checked.accepted, tenant_lake.accepted(report.upload_id)),
        (checked.rejected, tenant_lake.rejected(report.upload_id)),
    ):
        for number, part in enumerate(files):
            put_file(part, target / part_name(number))
    put_file(keys, folder / KEYS_FILE)
    report = report.model_copy(update={"storage_location": folder.relative_to(store.lake.root).as_posix()})
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
