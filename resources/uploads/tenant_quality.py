"""The quality of a tenant's data: each upload as the pipeline last measured it, and newer ones by their reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import UploadRecord, counting_uploads, list_uploads
from resources.storage.lake import Lake, TenantLake, read_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.quality import UploadQuality, UploadVolume, upload_quality, with_warnings
from resources.uploads.store import read_report
from resources.uploads.unmatched_ids import UnmatchedIds, unmatched_ids

MART = "data_quality.parquet"
EVENTS = "events"
"""Stands for all tracked events, which belong to no upload."""


class MeasuredUpload(BaseModel):
    """One upload and its quality. `source` says who measured: `pipeline` after a run, `report` when it arrived.

    `rows_current` counts rows still in use after later uploads, `rows_left_out` stored rows that no run can use because
    they break today's contract; both are null before a run. The times are null for events.
    """

    model_config = ConfigDict(frozen=True)

    upload_id: str
    kind: Kind
    created_at: datetime | None
    rows_total: int
    rows_accepted: int
    rows_rejected: int
    rows_duplicate: int
    rows_current: int | None
    rows_left_out: int | None = None
    newest_interaction_at: datetime | None
    quality: UploadQuality
    source: Literal["pipeline", "report"]


class QualitySummary(BaseModel):
    """The tenant's data as a whole; percentages are 0 to 100, and null where there is nothing to take a share of.

    `freshness_hours` is the age of the newest interaction now. Completeness, validity and uniqueness are over all rows,
    `unknown_item_percent` over the different items of the newest upload of interactions.
    """

    model_config = ConfigDict(frozen=True)

    freshness_hours: float | None = None
    completeness_percent: float | None = None
    validity_percent: float | None = None
    uniqueness_percent: float | None = None
    unknown_item_percent: float | None = None
    uploads: int = 0
    unusual_uploads: tuple[str, ...] = ()


class SetAside(BaseModel):
    """An upload whose rows do not count because no run could work with them."""

    model_config = ConfigDict(frozen=True)

    upload_id: str
    kind: Kind
    rows_accepted: int
    set_aside_at: datetime
    reason: str

    @classmethod
    def of(cls, upload: UploadRecord) -> SetAside | None:
        """Show an upload that was set aside; None for any other."""
        if upload.set_aside_at is None or upload.withdrawn_at is not None:
            return None
        return cls(
            upload_id=upload.upload_id,
            kind=Kind(upload.kind),
            rows_accepted=upload.rows_accepted,
            set_aside_at=upload.set_aside_at,
            reason=upload.set_aside_reason or "",
        )


class TenantQuality(BaseModel):
    """A tenant's summary, and its uploads, newest first.

    `set_aside` are uploads that no run could work with, and why: their rows do not count. Withdrawn ones are nowhere.
    `unmatched_ids` are ids of interactions that differ from those of items or users files only in their form.
    """

    model_config = ConfigDict(frozen=True)

    summary: QualitySummary
    uploads: tuple[MeasuredUpload, ...]
    set_aside: tuple[SetAside, ...] = ()
    unmatched_ids: tuple[UnmatchedIds, ...] = ()

    def newest(self, kind: Kind) -> MeasuredUpload | None:
        """The newest upload of a kind; events are none."""
        return next((each for each in self.uploads if each.kind is kind and each.upload_id != EVENTS), None)


def tenant_quality(store: TenantStore, *, now: datetime) -> TenantQuality:
    """Put the mart and the reports of uploads that no run has measured together.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    db, tenant = store.db, store.tenant
    get_tenant(db, tenant)
    records = counting_uploads(db, tenant)
    mart = _mart(store.folder)
    uploads = [_of_mart(mart[EVENTS])] if EVENTS in mart else []
    for place in reversed(range(len(records))):
        record = records[place]
        known = mart.get(record.upload_id)
        uploads.append(_of_mart(known) if known else _of_report(store.lake, record, records[:place]))
    aside = tuple(each for each in map(SetAside.of, list_uploads(db, tenant)) if each is not None)
    return TenantQuality(
        summary=_summary(uploads, now),
        uploads=tuple(uploads),
        set_aside=aside,
        unmatched_ids=unmatched_ids(store.folder),
    )


def _mart(lake: TenantLake) -> dict[str, dict[str, Any]]:
    """The rows of the mart by upload; none before the first run, or when an older version wrote the file."""
    if not (lake.dbt / MART).exists():
        return {}
    frame = read_parquet(lake.dbt / MART)
    if "is_volume_anomaly" not in frame.columns:
        return {}
    return {row["upload_id"]: row for row in frame.iter_rows(named=True)}


def _of_mart(row: dict[str, Any]) -> MeasuredUpload:
    kind = Kind(row["kind"])
    reason = f"{row['rows_total']:,} rows, where {row['usual_rows']:,.0f} are usual" if row["is_volume_anomaly"] else ""
    quality = UploadQuality(
        completeness=row["completeness"],
        completeness_by_column={},
        validity=row["validity"],
        uniqueness=row["uniqueness"],
        freshness_hours=row["freshness_hours"],
        unknown_item_share=row["unknown_item_share"],
        volume=UploadVolume(
            rows=row["rows_total"],
            usual=row["usual_rows"],
            ratio=row["volume_ratio"],
            anomaly=row["is_volume_anomaly"],
            reason=reason,
        ),
    )
    return MeasuredUpload(
        upload_id=row["upload_id"],
        kind=kind,
        created_at=row["created_at"],
        rows_total=row["rows_total"],
        rows_accepted=row["rows_accepted"],
        rows_rejected=row["rows_rejected"],
        rows_duplicate=row["rows_duplicate"],
        rows_current=row["rows_current"],
        rows_left_out=row.get("rows_left_out"),
        newest_interaction_at=row["newest_interaction_at"],
        quality=with_warnings(quality, kind),
        source="pipeline",
    )


def _of_report(lake: Lake, record: UploadRecord, earlier: Sequence[UploadRecord]) -> MeasuredUpload:
    report = read_report(lake, record.tenant, record.upload_id)
    return MeasuredUpload(
        upload_id=record.upload_id,
        kind=report.kind,
        created_at=record.created_at,
        rows_total=report.rows_total,
        rows_accepted=report.rows_accepted,
        rows_rejected=report.rows_rejected,
        rows_duplicate=report.rows_duplicate,
        rows_current=None,
        newest_interaction_at=report.statistics.last_timestamp,
        quality=upload_quality(report, earlier, now=record.created_at),
        source="report",
    )


def _summary(uploads: Sequence[MeasuredUpload], now: datetime) -> QualitySummary:
    newest = max((u.newest_interaction_at for u in uploads if u.newest_interaction_at is not None), default=None)
    files = [u for u in uploads if u.upload_id != EVENTS]
    unknown = next((u.quality.unknown_item_share for u in files if u.kind is Kind.INTERACTIONS), None)
    valid = [u.rows_accepted + u.rows_duplicate for u in uploads]
    return QualitySummary(
        freshness_hours=None if newest is None else round(max(0.0, (now - newest).total_seconds() / 3600), 2),
        completeness_percent=_percent(
            _weighted((u.quality.completeness, u.rows_accepted) for u in uploads if u.quality.completeness is not None)
        ),
        validity_percent=_percent(_share(sum(valid), sum(u.rows_total for u in uploads))),
        uniqueness_percent=_percent(_share(sum(u.rows_accepted for u in uploads), sum(valid))),
        unknown_item_percent=_percent(unknown),
        uploads=len(files),
        unusual_uploads=tuple(u.upload_id for u in files if u.quality.volume.anomaly),
    )


def _weighted(values: Iterable[tuple[float | None, int]]) -> float | None:
    pairs = [(value, weight) for value, weight in values if value is not None]
    return _share(sum(value * weight for value, weight in pairs), sum(weight for _, weight in pairs))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
