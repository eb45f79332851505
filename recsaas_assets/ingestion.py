"""From accepted uploads and tracked events to the raw tables, as plain functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from upath import UPath

from resources.control_db.engine import ControlDb
from resources.control_db.tenants import Tenant
from resources.control_db.uploads import UploadRecord, list_uploads
from resources.errors import TooLarge, UploadRefused
from resources.event_log import IMPRESSION, EventLog, LoggedEvent
from resources.lake import Lake, TenantLake, read_parquet, write_json
from resources.tenant import TenantId
from resources.tenant_settings import TenantSettings
from resources.uploads.contract import Kind, accepted_schema
from resources.uploads.report import UploadReport
from resources.uploads.store import store_upload

EVENTS_UPLOAD_ID = "events"
_EVENTS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class LandedFile:
    """What became of one dropped file: a report, or the reason why it was refused."""

    name: str
    report: UploadReport | None
    refusal: str | None


def take_landed_files(
    lake: Lake, db: ControlDb, tenant: Tenant, kind: Kind, *, now: datetime, max_bytes: int
) -> tuple[LandedFile, ...]:
    """Store every file of the tenant's landing folder as an upload, oldest first.

    A stored file leaves the folder, because the upload keeps the original. A refused one moves to `.refused/`
    with a JSON file beside it that says why.
    """
    outcomes = []
    for path in waiting_files(lake.landing(tenant.id, kind.value)):
        try:
            report = store_upload(
                lake,
                db,
                tenant.id,
                kind,
                path,
                filename=path.name,
                source="landing",
                settings=tenant.settings,
                now=now,
                max_bytes=max_bytes,
            )
        except (UploadRefused, TooLarge) as refusal:
            outcomes.append(LandedFile(path.name, None, refusal.message))
            code = refusal.reason if isinstance(refusal, UploadRefused) else refusal.code
            refused = path.parent / ".refused"
            write_json(refused / f"{path.name}.why.json", {"code": code, "message": refusal.message})
            # Renamed, not copied: the file may be refused because it is larger than memory.
            path.replace(refused / path.name)
        else:
            outcomes.append(LandedFile(path.name, report, None))
            path.unlink()
    return tuple(outcomes)


def waiting_files(folder: UPath) -> tuple[UPath, ...]:
    """Files in a landing folder, oldest first. Names that start with a dot are still being written, or refused."""
    if not folder.exists():
        return ()
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    return tuple(sorted(files, key=lambda path: (path.stat().st_mtime, path.name)))


def accepted_rows(lake: TenantLake, kind: Kind, uploads: tuple[UploadRecord, ...]) -> pl.DataFrame:
    """Every accepted row of `uploads`, in upload order; zero rows with the contract's schema when there are none."""
    frames = [pl.DataFrame(schema=accepted_schema(kind))]
    frames += [read_parquet(lake.upload(u.upload_id) / "accepted.parquet") for u in uploads if u.rows_accepted]
    return pl.concat(frames, how="diagonal_relaxed")


def event_rows(events: tuple[LoggedEvent, ...]) -> pl.DataFrame:
    """Tracked events as rows of the interactions contract; impressions are not interactions and are left out."""
    rows = [
        {
            "user_id": e.event.user_id,
            "item_id": e.event.item_id,
            "interaction_type": e.event.interaction_type,
            "timestamp": e.event.timestamp,
            "rating": e.event.rating,
            "duration_seconds": e.event.duration_seconds,
            "quantity": e.event.quantity,
            "price": e.event.price,
            "session_id": e.event.session_id,
            "event_id": e.event.event_id,
            "upload_id": EVENTS_UPLOAD_ID,
            "row_number": e.seq,
        }
        for e in events
        if e.event.interaction_type != IMPRESSION and e.event.item_id is not None
    ]
    return pl.DataFrame(rows, schema=accepted_schema(Kind.INTERACTIONS))


def raw_table(lake: TenantLake, db: ControlDb, tenant: TenantId, kind: Kind) -> tuple[pl.DataFrame, list[str]]:
    """The raw table of `kind` and the ids of the uploads in it."""
    uploads = list_uploads(db, tenant, kind=kind.value)
    table = accepted_rows(lake, kind, uploads)
    if kind is Kind.INTERACTIONS:
        table = pl.concat([table, *_all_events(EventLog(db), tenant)], how="diagonal_relaxed")
    return table, [u.upload_id for u in uploads]


def _all_events(log: EventLog, tenant: TenantId) -> Iterator[pl.DataFrame]:
    """Every tracked event of the tenant, a page at a time: the log has no upper bound."""
    after = 0
    while page := log.export_after(tenant, after, limit=_EVENTS_AT_ONCE):
        yield event_rows(page)
        after = page[-1].seq


def uploads_table(uploads: tuple[UploadRecord, ...]) -> pl.DataFrame:
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
            "created_at": pl.Datetime("us", "UTC"),
            "rows_accepted": pl.Int64(),
            "rows_rejected": pl.Int64(),
            "rows_duplicate": pl.Int64(),
        },
    )


def settings_table(settings: TenantSettings) -> pl.DataFrame:
    """The tenant's settings that dbt needs, as one row."""
    weights = {f"weight_{name}": float(value) for name, value in settings.weights.model_dump().items()}
    return pl.DataFrame([{**weights, "rating_min": settings.rating_min, "rating_max": settings.rating_max}])
