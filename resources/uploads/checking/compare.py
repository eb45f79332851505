"""Comparing an inspected file with what its tenant has stored, or with nothing."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from upath import UPath

from resources.control_db.items import newest_item_changes
from resources.control_db.uploads import counting_uploads
from resources.storage.lake import scan_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.checking.assemble import CheckedUpload, assemble
from resources.uploads.checking.duplicates import find_repeats
from resources.uploads.checking.inspect import FileCheck, Inspection, inspect_file
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding, FindingLevel
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import reported
from resources.uploads.deduplication.earlier import EarlierRows, StoredRows
from resources.uploads.deduplication.keys import catalogue_of, stored_rows, tracked_rows, with_changed_items
from resources.uploads.deduplication.stray_ids import compare_ids
from resources.uploads.deduplication.variants import variant_ids
from resources.uploads.parsing.statistics import hashed_ids
from resources.uploads.parsing.uploaded_file import identify

_MOST_ITEMS = 2_000_000
"""With a larger catalogue its ids are not compared by what they mean, which takes memory."""


def compare_with_stored(store: TenantStore, inspection: Inspection, *, now: datetime, work: Path) -> CheckedUpload:
    """Leave out the rows that repeat each other, an earlier upload or a tracked event, and report.

    The caller sees to it that no other upload of the tenant is stored meanwhile.
    """
    kind, db, tenant = inspection.kind, store.db, store.tenant
    counting = counting_uploads(db, tenant)
    uploads = sorted(counting, key=lambda upload: (upload.created_at, upload.sequence), reverse=True)

    def stored(wanted: Kind) -> list[StoredRows]:
        return [
            stored_rows(store.lake, each, work=work) for each in uploads if each.kind == wanted and each.rows_accepted
        ]

    rows = stored(kind)
    if kind is Kind.ITEMS:
        rows = with_changed_items(rows, newest_item_changes(db, tenant), taken_back=True)
    earlier = EarlierRows(kind, rows, deleted=inspection.deleted)
    catalogue = None
    if kind is Kind.INTERACTIONS:
        described = newest_item_changes(db, tenant, actions=("put", "delete"))
        catalogue = catalogue_of(with_changed_items(stored(Kind.ITEMS), described, taken_back=False))
        if catalogue is not None:
            items = [each for each in reversed(uploads) if each.kind == Kind.ITEMS]
            variants = variant_ids(store.lake, items)["variant_id"]
            catalogue = np.union1d(catalogue, hashed_ids(variants, "item_id"))
        if inspection.times is not None:
            # An event id may have been tracked with any time.
            first, last = (None, None) if inspection.by_event.rows else inspection.times
            events = tracked_rows(db, tenant, first=first, last=last, earlier=earlier, now=now, work=work)
            if events is not None:
                earlier.set_events(events)
    repeats = find_repeats(inspection, earlier, work=work)
    checked = assemble(inspection, repeats, catalogue=catalogue, work=work)
    if checked.report.statistics.unknown_items and catalogue is not None and len(catalogue) <= _MOST_ITEMS:
        return _with_stray_items(checked, stored(Kind.ITEMS))
    return checked


def _with_stray_items(checked: CheckedUpload, catalogue: Sequence[StoredRows]) -> CheckedUpload:
    """Warn of items that no catalogue will ever have, because it has them under another form of the id."""
    item = pl.col("item_id").alias("id")
    described = [scan_parquet([UPath(path) for path in rows.files]).select(item) for rows in catalogue if rows.files]
    named = pl.scan_parquet(list(checked.accepted)).select(item)
    pairs = compare_ids(named.unique(), pl.concat(described).unique()) if described else pl.DataFrame()
    if pairs.is_empty():
        return checked
    examples = tuple(f"{one} for {other}" for one, other in pairs.head(MAX_EXAMPLES).iter_rows())
    found = reported([Finding("ids_unmatched", "item_id", pairs.height, examples)], FindingLevel.WARNING)
    report = checked.report.model_copy(update={"warnings": (*checked.report.warnings, *found)})
    return replace(checked, report=report)


def inspect_upload(
    upload: IncomingUpload, policy: UploadPolicy, *, work: Path, catalogue: AbstractSet[str] | None = None
) -> CheckedUpload:
    """Check a file as if nothing was stored yet. `work` is an empty folder that holds the result's parts.

    `catalogue` holds the tenant's item ids; with it, `unknown_items` counts the items of interactions it lacks.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over the policy's `max_bytes`, or it has too many rows.
        UploadRefused: the file cannot be read at all; `reason` is the code.
    """
    file = identify(upload.content, filename=upload.filename, max_bytes=policy.max_bytes, sha256=upload.sha256)
    upload_id = f"{upload.kind}-{file.sha256[:16]}"
    inspection = inspect_file(FileCheck(upload.kind, file, upload_id, upload.received_at, policy), work=work)
    known = None if catalogue is None else hashed_ids(pl.Series(sorted(catalogue), dtype=pl.String), "item_id")
    repeats = find_repeats(inspection, EarlierRows(upload.kind, (), deleted=inspection.deleted), work=work)
    return assemble(inspection, repeats, catalogue=known, work=work)
