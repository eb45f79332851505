"""From accepted uploads and exported events to the raw tables, as plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from resources.base.tenant import TenantId
from resources.catalogue.rows import change_rows, upload_rows
from resources.catalogue.usable import count_unusable
from resources.control_db.engine import ControlDb
from resources.control_db.items import list_item_changes
from resources.control_db.uploads import UploadRecord, counting_uploads, list_uploads, set_aside_upload
from resources.events.export import scan_exported_events
from resources.events.log import IMPRESSION
from resources.jobs.kinds.erasures import users_being_erased
from resources.storage.lake import Lake, scan_parquet, sink_parquet
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import TIME, Kind, accepted_schema
from resources.uploads.deduplication.variants import variant_ids, with_items_of_variants
from resources.uploads.normalising.ids import each_in_one_form
from resources.uploads.store import scan_accepted

EVENTS_UPLOAD_ID = "events"

GIANT_ROWS = 1_000_000
"""Only a larger upload can be what a run has no memory for; with less, the installation has too little of it."""
_WITHDRAW = "Withdraw it and send less, or ask the operator"


@dataclass(frozen=True, slots=True)
class RawTable:
    """Contents of a raw table: its rows, the uploads they are from, and up to which change of an item by API.

    `left_out` are the uploads that do not count, withdrawn or set aside; of `unusable_changes` by API some field does
    not.
    """

    rows: int
    uploads: tuple[UploadRecord, ...]
    left_out: tuple[UploadRecord, ...] = ()
    last_item_change: int = 0
    unusable_changes: int = 0


def raw_schema(kind: Kind) -> pl.Schema:
    """Columns of a raw table; extra columns of the uploads follow."""
    return pl.Schema({**accepted_schema(kind), "received_at": TIME})


def write_raw_table(store: TenantStore, kind: Kind) -> RawTable:
    """Write the raw table of `kind` as a stream: every accepted row in the order received, then what came by API.

    That is the tracked events, or one row for each item that was changed. Rows of a user whose erasure waits are left
    out: the run may have begun before the erasure could. An interaction with a variant is one with its item.
    """
    lake, db, tenant = store.lake, store.db, store.tenant
    every = list_uploads(db, tenant, kind=kind.value)
    uploads = tuple(upload for upload in every if upload.left_out_at is None)
    frames = [pl.LazyFrame(schema=raw_schema(kind)), *(_accepted(lake, u) for u in uploads if u.rows_accepted)]
    if kind is Kind.INTERACTIONS:
        frames.append(event_rows(scan_exported_events(store)))
    # Read after the uploads: a change that is here has a time after every upload that is.
    changes = list_item_changes(db, tenant) if kind is Kind.ITEMS else ()
    if changes:
        frames.append(change_rows(changes, upload_rows(lake, uploads)).lazy())
    table = pl.concat(frames, how="diagonal_relaxed")
    if kind is Kind.INTERACTIONS:
        items = counting_uploads(db, tenant, kind=Kind.ITEMS.value)
        table = with_items_of_variants(table, variant_ids(lake, items))
    erased = users_being_erased(db, tenant)
    if erased and kind is not Kind.ITEMS:
        table = table.filter(~pl.col("user_id").is_in(list(erased)))
    path = store.folder.raw(kind.value)
    sink_parquet(table, path)
    rows = scan_parquet([path]).select(pl.len()).collect().item()
    left_out = tuple(upload for upload in every if upload.left_out_at is not None)
    last = changes[-1].seq if changes else 0
    return RawTable(rows, uploads, left_out, last, count_unusable(changes))


def set_excess_aside(db: ControlDb, tenant: TenantId, *, most_rows: int, now: datetime) -> tuple[UploadRecord, ...]:
    """Set the newest uploads aside that take a tenant over `most_rows` accepted rows; return them.

    What is uploaded now is refused at once when it does. These were accepted by an earlier version, or before an
    operator lowered the limit, and a run goes on without them.
    """
    rows, aside = 0, []
    for upload in counting_uploads(db, tenant):
        if rows + upload.rows_accepted <= most_rows:
            rows += upload.rows_accepted
            continue
        reason = (
            f"With its {upload.rows_accepted:,} rows the tenant has more than {most_rows:,}, and a run can not work "
            f"with that. {_WITHDRAW} to raise RECSAAS_MAX_TENANT_ROWS."
        )
        aside.append(set_aside_upload(db, tenant, upload.upload_id, reason=reason, now=now))
    return tuple(aside)


def set_giant_aside(db: ControlDb, tenant: TenantId, *, failed: Sequence[str], now: datetime) -> UploadRecord | None:
    """Set the largest upload aside after a build without memory for it, and return it; None when none is large.

    Args:
        failed: the models and tests that ran out of memory: one of staging knows the kind of the upload.
    """
    kinds = [kind.value for kind in Kind if f"stg_{kind.value}" in failed] or [kind.value for kind in Kind]
    giants = [u for u in counting_uploads(db, tenant) if u.kind in kinds and u.rows_accepted >= GIANT_ROWS]
    if not giants:
        return None
    giant = max(giants, key=lambda upload: (upload.rows_accepted, upload.sequence))
    reason = (
        f"A run has no memory for its {giant.rows_accepted:,} rows: {', '.join(failed[:3])} failed. "
        f"{_WITHDRAW} to raise RECSAAS_DBT_MEMORY_BYTES."
    )
    return set_aside_upload(db, tenant, giant.upload_id, reason=reason, now=now)


def event_rows(events: pl.LazyFrame) -> pl.LazyFrame:
    """Exported events as rows of a raw table; impressions are not interactions and are left out."""
    ours = {
        "deleted": pl.lit(False),
        "upload_id": pl.lit(EVENTS_UPLOAD_ID),
        "row_number": pl.col("seq"),
    }
    kept = events.filter(pl.col("interaction_type") != IMPRESSION, pl.col("item_id").is_not_null())
    kept = each_in_one_form(kept, ("user_id", "item_id", "session_id"))  # earlier versions exported them as they came
    return kept.select(ours.get(name, pl.col(name)).alias(name) for name in raw_schema(Kind.INTERACTIONS))


def taken_in(upload: UploadRecord) -> bool:
    """Whether the raw tables hold an upload, or will: also one that was withdrawn after this run had read its rows."""
    return upload.left_out_at is None or (upload.ingested_run is not None and upload.left_out_run is None)


def uploads_table(uploads: Sequence[UploadRecord]) -> pl.DataFrame:
    """The ledger of uploads that dbt joins against: `sequence` decides which row of an item or user is the latest."""
    return pl.DataFrame(
        [
            {
                "upload_id": u.upload_id,
                "kind": u.kind,
                "sequence": u.sequence,
                "created_at": u.created_at,
                "rows_accepted": u.rows_accepted,
                "rows_rejected": u.rows_rejected,
                "rows_duplicate": u.rows_duplicate,
            }
            for u in uploads
        ],
        schema={
            "upload_id": pl.String(),
            "kind": pl.String(),
            "sequence": pl.Int64(),
            "created_at": TIME,
            "rows_accepted": pl.Int64(),
            "rows_rejected": pl.Int64(),
            "rows_duplicate": pl.Int64(),
        },
    )


def settings_table(settings: TenantSettings) -> pl.DataFrame:
    """The tenant's settings that dbt needs, as one row."""
    weights = {f"weight_{name}": float(value) for name, value in settings.weights.model_dump().items()}
    return pl.DataFrame([{**weights, "rating_min": settings.rating_min, "rating_max": settings.rating_max}])


def _accepted(lake: Lake, upload: UploadRecord) -> pl.LazyFrame:
    received = pl.lit(upload.created_at, dtype=TIME).alias("received_at")
    return scan_accepted(lake, upload.tenant, upload.upload_id).with_columns(received)
