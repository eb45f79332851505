"""Comparing an inspected file with what its tenant has stored, or with nothing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

import polars as pl

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.items import newest_item_changes
from resources.control_db.uploads import counting_uploads
from resources.storage.lake import Lake
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.assemble import Settled, settle
from resources.uploads.checking.duplicates import find_repeats
from resources.uploads.checking.inspect import Inspection, inspect_source
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import DEFAULT_LIMITS, UploadLimits
from resources.uploads.deduplication.earlier import EarlierRows, StoredRows
from resources.uploads.deduplication.keys import catalogue_of, stored_rows, tracked_events, with_changed_items
from resources.uploads.parsing.source import identify
from resources.uploads.parsing.statistics import hashed_ids


def compare_with_stored(
    lake: Lake, db: ControlDb, tenant: TenantId, inspection: Inspection, *, now: datetime, max_bytes: int, work: Path
) -> Settled:
    """Leave out the rows that repeat each other, an earlier upload or a tracked event, and report.

    The caller sees to it that no other upload of the tenant is stored meanwhile.
    """
    kind = inspection.kind
    counting = counting_uploads(db, tenant)
    uploads = sorted(counting, key=lambda upload: (upload.created_at, upload.sequence), reverse=True)

    def stored(wanted: Kind) -> list[StoredRows]:
        return [stored_rows(lake, each, work=work) for each in uploads if each.kind == wanted and each.rows_accepted]

    rows = stored(kind)
    if kind is Kind.ITEMS:
        rows = with_changed_items(rows, newest_item_changes(db, tenant), taken_back=True)
    earlier = EarlierRows(kind, rows, deleted=inspection.deleted)
    catalogue = None
    if kind is Kind.INTERACTIONS:
        described = newest_item_changes(db, tenant, actions=("put", "delete"))
        catalogue = catalogue_of(with_changed_items(stored(Kind.ITEMS), described, taken_back=False))
        if inspection.times is not None:
            # An event id may have been tracked with any time.
            first, last = (None, None) if inspection.by_event.rows else inspection.times
            events = tracked_events(db, tenant, first=first, last=last, earlier=earlier, now=now, work=work)
            if events is not None:
                earlier.set_events(events)
    repeats = find_repeats(inspection, earlier, work=work)
    return settle(inspection, repeats, catalogue=catalogue, max_bytes=max_bytes, work=work)


def inspect_upload(
    kind: Kind,
    content: Path | bytes,
    *,
    filename: str,
    settings: TenantSettings,
    now: datetime,
    max_bytes: int,
    work: Path,
    limits: UploadLimits = DEFAULT_LIMITS,
    catalogue: AbstractSet[str] | None = None,
) -> Settled:
    """Check a file as if nothing was stored yet. `work` is an empty folder that holds the result's parts.

    `catalogue` holds the tenant's item ids; with it, `unknown_items` counts the items of interactions it lacks.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over `max_bytes`, or it has too many rows.
        UploadRefused: the file cannot be read at all; `reason` is the code.
    """
    source = identify(content, filename=filename, max_bytes=max_bytes)
    inspection = inspect_source(
        kind,
        source,
        upload_id=f"{kind}-{source.sha256[:16]}",
        settings=settings,
        now=now,
        max_bytes=max_bytes,
        limits=limits,
        work=work,
    )
    known = None if catalogue is None else hashed_ids(pl.Series(sorted(catalogue), dtype=pl.String), "item_id")
    repeats = find_repeats(inspection, EarlierRows(kind, (), deleted=inspection.deleted), work=work)
    return settle(inspection, repeats, catalogue=known, max_bytes=max_bytes, work=work)
