"""Uploads in the control DB: the commit here is the acknowledgement, and what is withdrawn stays listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import and_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change
from resources.audit.entries import record as record_entry
from resources.base.errors import UploadNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import take_turns
from resources.control_db.tables.uploads import UploadRow
from resources.control_db.tenants import get_tenant
from resources.usage.adding import add_usage
from resources.usage.amounts import NO_KEY, Amounts, Counted
from resources.webhooks.announcing import announce

_COUNTS = and_(UploadRow.withdrawn_at.is_(None), UploadRow.set_aside_at.is_(None))


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """One stored upload. `sequence` orders uploads over all tenants; 0 before it is stored.

    `withdrawn_at` is when its shop took it back, `set_aside_at` when a run found that it cannot be worked with, and
    `set_aside_reason` why; `left_out_run` is the first run without its rows.
    """

    tenant: TenantId
    upload_id: str
    kind: str
    sha256: str
    filename: str
    source: str
    status: str
    rows_accepted: int
    rows_rejected: int
    rows_duplicate: int
    created_at: datetime
    ingested_run: str | None = None
    sequence: int = 0
    withdrawn_at: datetime | None = None
    set_aside_at: datetime | None = None
    set_aside_reason: str | None = None
    left_out_run: str | None = None

    @property
    def left_out_at(self) -> datetime | None:
        """Since when its rows do not count; None while they do."""
        return self.withdrawn_at or self.set_aside_at


def record_upload(db: ControlDb, record: UploadRecord, *, by: Actor = SYSTEM) -> UploadRecord:
    """Store `record`; the same upload a second time returns the first record and changes nothing.

    Raises:
        TenantNotFound: the tenant does not exist.
    """
    row = UploadRow(
        tenant_id=record.tenant.value,
        upload_id=record.upload_id,
        kind=record.kind,
        sha256=record.sha256,
        filename=record.filename,
        source=record.source,
        status=record.status,
        rows_accepted=record.rows_accepted,
        rows_rejected=record.rows_rejected,
        rows_duplicate=record.rows_duplicate,
        created_at=record.created_at,
        ingested_run=None,
    )
    try:
        with db.write() as session:
            take_turns(session, record.tenant)  # numbers become visible in their order
            session.add(row)
            session.flush()  # an upload that is there already is no entry, and is not counted
            stored = Change(action="upload.store", object_kind="upload", object_id=row.upload_id, after=_figures(row))
            record_entry(session, by, stored, tenant=record.tenant, now=record.created_at)
            add_usage(session, _counted(record, by))
            announce(session, record.tenant, "upload.checked", _announced(record), now=record.created_at)
    except IntegrityError:
        get_tenant(db, record.tenant)
        return get_upload(db, record.tenant, record.upload_id)
    return _record(row)


def _counted(record: UploadRecord, by: Actor) -> dict[Counted, Amounts]:
    """Its rows as usage of the day on which it came in, by the key or member that sent it."""
    key_id = by.id if by.kind in ("key", "member") else NO_KEY
    key = Counted(record.tenant.value, record.created_at.date(), key_id, "uploads", "2xx")
    return {key: Amounts(uploaded_rows=record.rows_accepted)}


def find_upload(db: ControlDb, tenant: TenantId, upload_id: str) -> UploadRecord | None:
    """Return the upload, or None when the tenant has none with this id."""
    with db.read() as session:
        row = session.scalars(
            select(UploadRow).where(UploadRow.tenant_id == tenant.value, UploadRow.upload_id == upload_id)
        ).one_or_none()
    return None if row is None else _record(row)


def get_upload(db: ControlDb, tenant: TenantId, upload_id: str) -> UploadRecord:
    """Return the upload.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
    """
    record = find_upload(db, tenant, upload_id)
    if record is None:
        raise _not_found(tenant, upload_id)
    return record


def list_uploads(db: ControlDb, tenant: TenantId, *, kind: str | None = None) -> tuple[UploadRecord, ...]:
    """The tenant's uploads in the order they were stored, those that do not count any more included."""
    statement = select(UploadRow).where(UploadRow.tenant_id == tenant.value).order_by(UploadRow.sequence)
    if kind is not None:
        statement = statement.where(UploadRow.kind == kind)
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def counting_uploads(db: ControlDb, tenant: TenantId, *, kind: str | None = None) -> tuple[UploadRecord, ...]:
    """The tenant's uploads whose rows count, in the order they were stored: neither withdrawn nor set aside."""
    return tuple(upload for upload in list_uploads(db, tenant, kind=kind) if upload.left_out_at is None)


def list_uploads_page(db: ControlDb, tenant: TenantId, *, limit: int, before: int | None) -> tuple[UploadRecord, ...]:
    """At most `limit` uploads, newest first, with a sequence below `before`."""
    statement = (
        select(UploadRow).where(UploadRow.tenant_id == tenant.value).order_by(UploadRow.sequence.desc()).limit(limit)
    )
    if before is not None:
        statement = statement.where(UploadRow.sequence < before)
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def pending_uploads(db: ControlDb) -> tuple[UploadRecord, ...]:
    """Uploads with accepted rows that no run has taken in yet, over all tenants, oldest first.

    So are those that do not count any more, while they are in what the newest run has taken in.
    """
    to_take_in = and_(UploadRow.ingested_run.is_(None), _COUNTS)
    to_leave_out = and_(UploadRow.ingested_run.is_not(None), ~_COUNTS, UploadRow.left_out_run.is_(None))
    statement = (
        select(UploadRow).where(UploadRow.rows_accepted > 0, or_(to_take_in, to_leave_out)).order_by(UploadRow.sequence)
    )
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(statement))


def mark_ingested(db: ControlDb, tenant: TenantId, upload_ids: Sequence[str], *, run_id: str) -> None:
    """Note that `run_id` was the first run to take these uploads in."""
    _note_first_run(db, tenant, upload_ids, UploadRow.ingested_run, run_id)


def mark_left_out(db: ControlDb, tenant: TenantId, upload_ids: Sequence[str], *, run_id: str) -> None:
    """Note that `run_id` was the first run without the rows of these uploads."""
    _note_first_run(db, tenant, upload_ids, UploadRow.left_out_run, run_id)


def withdraw_upload(
    db: ControlDb, tenant: TenantId, upload_id: str, *, now: datetime, by: Actor = SYSTEM
) -> UploadRecord:
    """Take an upload back: its rows stop counting with the next run. A second time changes nothing.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
    """
    with db.write() as session:
        take_turns(session, tenant)  # of two who withdraw it at once, one does
        row = _row(session, tenant, upload_id)
        if row.withdrawn_at is None:
            row.withdrawn_at = now
            taken = Change(action="upload.withdraw", object_kind="upload", object_id=upload_id, before=_figures(row))
            record_entry(session, by, taken, tenant=tenant, now=now)
    return _record(row)


def set_aside_upload(db: ControlDb, tenant: TenantId, upload_id: str, *, reason: str, now: datetime) -> UploadRecord:
    """Let an upload's rows count no more because no run can work with them; `reason` says why, for its shop.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
    """
    with db.write() as session:
        take_turns(session, tenant)
        row = _row(session, tenant, upload_id)
        if row.set_aside_at is None:
            row.set_aside_at, row.set_aside_reason = now, reason
            aside = Change(
                action="upload.set_aside", object_kind="upload", object_id=upload_id, after={"because": reason}
            )
            record_entry(session, SYSTEM, aside, tenant=tenant, now=now)
    return _record(row)


def _note_first_run(
    db: ControlDb, tenant: TenantId, upload_ids: Sequence[str], column: InstrumentedAttribute[str | None], run_id: str
) -> None:
    named = (UploadRow.tenant_id == tenant.value, UploadRow.upload_id.in_(upload_ids))
    with db.write() as session:
        session.execute(update(UploadRow).where(*named, column.is_(None)).values({column: run_id}))


def _announced(record: UploadRecord) -> dict[str, JsonValue]:
    return {
        "upload_id": record.upload_id,
        "kind": record.kind,
        "filename": record.filename,
        "source": record.source,
        "status": record.status,
        "rows_accepted": record.rows_accepted,
        "rows_rejected": record.rows_rejected,
        "rows_duplicate": record.rows_duplicate,
    }


def _row(session: Session, tenant: TenantId, upload_id: str) -> UploadRow:
    row = session.scalars(
        select(UploadRow).where(UploadRow.tenant_id == tenant.value, UploadRow.upload_id == upload_id)
    ).one_or_none()
    if row is None:
        raise _not_found(tenant, upload_id)
    return row


def _figures(row: UploadRow) -> dict[str, object]:
    names = ("kind", "filename", "source", "sha256", "status", "rows_accepted", "rows_rejected", "rows_duplicate")
    return {name: getattr(row, name) for name in names}


def _not_found(tenant: TenantId, upload_id: str) -> UploadNotFound:
    return UploadNotFound(f"Tenant {tenant} has no upload {upload_id[:80]!r}.")


def _record(row: UploadRow) -> UploadRecord:
    return UploadRecord(
        tenant=TenantId(row.tenant_id),
        upload_id=row.upload_id,
        kind=row.kind,
        sha256=row.sha256,
        filename=row.filename,
        source=row.source,
        status=row.status,
        rows_accepted=row.rows_accepted,
        rows_rejected=row.rows_rejected,
        rows_duplicate=row.rows_duplicate,
        created_at=row.created_at,
        ingested_run=row.ingested_run,
        sequence=row.sequence,
        withdrawn_at=row.withdrawn_at,
        set_aside_at=row.set_aside_at,
        set_aside_reason=row.set_aside_reason,
        left_out_run=row.left_out_run,
    )
