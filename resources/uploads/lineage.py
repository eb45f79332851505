"""What an upload influenced: the run that took it in, the releases built from it, the rows that still count."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from resources.base.tenant import TenantId
from resources.control_db.uploads import UploadRecord, get_upload
from resources.decisions.store import DecisionStore
from resources.release.manifest import ReleaseManifest
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake, read_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind

MAX_RELEASES = 100
"""Releases whose manifests are read; older ones are left out."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReleaseUse(_Frozen):
    """A release whose run read the upload: `rows` accepted rows, whether or not they still counted.

    `live`: it answers now.
    """

    version: str
    created_at: datetime
    live: bool
    algorithm: str
    rows: int
    training_set_fingerprint: str
    run_id: str


class UploadTrace(_Frozen):
    """The influence of an upload on runs, releases and answers.

    `rows_current` counts the rows that no later upload replaced or deleted and that no earlier one had, as of the
    newest run; null before the first one. Of an upload that was withdrawn or set aside, none do from the next run on.
    `releases` are newest first, of the `releases_read` newest of the tenant;
    `releases_unreadable` names those whose manifest cannot be read. `recommendations` counts the answers of
    `releases` that are in the decision log.
    """

    upload_id: str
    kind: Kind
    created_at: datetime
    ingested_run: str | None
    withdrawn_at: datetime | None
    set_aside_reason: str | None
    left_out_run: str | None
    rows_accepted: int
    rows_current: int | None
    live: bool
    releases: tuple[ReleaseUse, ...]
    releases_read: int
    releases_unreadable: tuple[str, ...]
    training_sets: tuple[str, ...]
    recommendations: int
    notes: tuple[str, ...]


def trace_upload(store: TenantStore, decisions: DecisionStore, upload_id: str) -> UploadTrace:
    """Follow one upload through the tenant's artifacts.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        CorruptRelease: the pointer to the live release cannot be read.
    """
    lake, tenant = store.lake, store.tenant
    record = get_upload(store.db, tenant, upload_id)
    summaries = ReleaseStore(store.folder).list(most=MAX_RELEASES + 1)
    read = summaries[:MAX_RELEASES]
    uses = tuple(
        use
        for summary in read
        if summary.manifest is not None
        and (use := _use(summary.manifest, upload_id, live=summary.is_current)) is not None
    )
    notes = []
    rows_current = 0 if record.left_out_run is not None else _rows_current(lake, tenant, upload_id)
    if record.left_out_at is not None:
        notes.append(_left_out(record))
    elif rows_current == 0:
        notes.append("No row of it counts any more: earlier or later uploads hold, replaced or deleted them all.")
    if len(summaries) > MAX_RELEASES:
        notes.append(f"Only the newest {MAX_RELEASES} releases were looked at.")
    return UploadTrace(
        upload_id=upload_id,
        kind=Kind(record.kind),
        created_at=record.created_at,
        ingested_run=record.ingested_run,
        withdrawn_at=record.withdrawn_at,
        set_aside_reason=record.set_aside_reason,
        left_out_run=record.left_out_run,
        rows_accepted=record.rows_accepted,
        rows_current=rows_current,
        live=any(use.live for use in uses),
        releases=uses,
        releases_read=len(read),
        releases_unreadable=tuple(summary.version for summary in read if summary.manifest is None),
        recommendations=decisions.count_of_releases(tenant, [use.version for use in uses]),
        training_sets=tuple(dict.fromkeys(use.training_set_fingerprint for use in uses)),
        notes=tuple(notes),
    )


def _left_out(record: UploadRecord) -> str:
    how = "It was withdrawn" if record.withdrawn_at is not None else "It was set aside"
    since = "with the next run" if record.left_out_run is None else f"with run {record.left_out_run}"
    return f"{how}: its rows stop counting {since}. Releases that were built before still have them."


def _use(manifest: ReleaseManifest, upload_id: str, *, live: bool) -> ReleaseUse | None:
    upload = next((each for each in manifest.uploads if each.id == upload_id), None)
    if upload is None:
        return None
    return ReleaseUse(
        version=manifest.version,
        created_at=manifest.created_at,
        live=live,
        algorithm=manifest.algorithm,
        rows=upload.rows,
        training_set_fingerprint=manifest.training_set_fingerprint,
        run_id=manifest.dagster_run_id,
    )


def _rows_current(lake: Lake, tenant: TenantId, upload_id: str) -> int | None:
    mart = lake.tenant(tenant).dbt / "data_quality.parquet"
    if not mart.exists():
        return None
    rows = read_parquet(mart).filter(pl.col("upload_id") == upload_id)
    return int(rows["rows_current"][0]) if rows.height else None
