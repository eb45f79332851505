"""Is there enough to train on? What a tenant has, what each level needs, and what is missing, in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.event_rows import NOBODY
from resources.control_db.tables.events import EventRow
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import UploadRecord, counting_uploads
from resources.events.log import IMPRESSION
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TYPES_WITH_PIECES, InteractionWeights
from resources.uploads.contract.columns import INTERACTION_TYPES, TIME, Kind
from resources.uploads.parsing.frequent_ids import dominant_id
from resources.uploads.parsing.hashing import EVENT_CONTENT
from resources.uploads.store import scan_accepted

Level = Literal["not_ready", "trainable", "evaluable", "good"]

CERTAIN_ROWS = 2_000_000
"""More rows than this are not all read if the newest of them reach the highest level alone: counts only grow."""
CERTAIN_EVENTS = 200_000
"""The same for tracked events, which come row by row from the control DB."""
_KEY = ("user_id", "item_id", "interaction_type", "timestamp")
_IDS = ("user_id", "item_id")
_ROWS = pl.Schema(
    {
        **dict.fromkeys(("user_id", "item_id", "interaction_type"), pl.String()),
        "timestamp": TIME,
        "event_id": pl.String(),
        "quantity": pl.Float64(),
        "received_at": TIME,
        "sequence": pl.Int64(),
    }
)


class Counts(BaseModel):
    """Counts of a tenant's data; of interactions those that train: a positive signal, of a pair nobody disliked."""

    model_config = ConfigDict(frozen=True)

    interactions: int = 0
    users: int = 0
    users_with_two_items: int = 0
    items: int = 0
    times: int = 0
    days: int = 0


# One interaction is enough for the graph to run through; what it recommends then is what is popular.
TRAINABLE = Counts(interactions=1)
# The split by time needs three different times. The gate compares from 20 test users on, each with something bought
# before and something new; the test period is a tenth of the interactions.
EVALUABLE = Counts(interactions=200, users=20, users_with_two_items=20, items=10, times=3)
# From about a thousand users with a history, a tenth of whom are in the test period, the measured NDCG@10 is certain
# to a few hundredths, which is how far models lie apart. Trends compare the newest week with the one before it.
GOOD = Counts(interactions=10_000, users=1_000, users_with_two_items=1_000, items=50, times=3, days=14)

_LEVELS: tuple[tuple[Level, Counts], ...] = (("trainable", TRAINABLE), ("evaluable", EVALUABLE), ("good", GOOD))
_WORDS = {
    "interactions": ("interaction that is more than a dislike", "interactions that are more than dislikes"),
    "users": ("user", "users"),
    "users_with_two_items": ("user with two different items", "users with two different items"),
    "items": ("item with interactions", "items with interactions"),
    "times": ("time of an interaction", "different times of interactions"),
    "days": ("day with interactions", "days with interactions"),
}
_USE = {
    "trainable": "to train at all",
    "evaluable": "to measure the model against popularity",
    "good": "for recommendations that can be trusted",
}


class Readiness(BaseModel):
    """How far a tenant is. `missing` lists what the next level needs; at the highest level nothing is missing.

    `exact` is false when there was so much that only the newest rows were counted: then the counts are at least these.
    `warnings` say what makes the counts less than they seem, such as one id that stands for everybody.
    """

    model_config = ConfigDict(frozen=True)

    level: Level
    next_level: Level | None
    counts: Counts
    exact: bool
    thresholds: dict[str, Counts]
    missing: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def measure_readiness(store: TenantStore) -> Readiness:
    """Count the tenant's accepted interactions, uploaded and tracked, less deleted ones, and judge them.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    lake, db, tenant = store.lake, store.db, store.tenant
    weights = get_tenant(db, tenant).settings.weights
    uploads = [u for u in counting_uploads(db, tenant, kind=Kind.INTERACTIONS.value) if u.rows_accepted]
    scans = [(u, _upload_rows(lake, u)) for u in reversed(uploads)]
    events = _event_rows(db, tenant, limit=CERTAIN_EVENTS + 1)
    if sum(u.rows_accepted for u in uploads) > CERTAIN_ROWS or events.height > CERTAIN_EVENTS:
        newest = _readiness(_count(list(_newest(scans)), _deletions(scans), events, weights), exact=False)
        if newest.level == "good":
            return newest
        events = _event_rows(db, tenant)
    return _readiness(_count([rows for _, rows in scans], _deletions(scans), events, weights), exact=True)


def _newest(scans: list[tuple[UploadRecord, pl.LazyFrame]]) -> Iterator[pl.LazyFrame]:
    left = CERTAIN_ROWS
    for record, rows in scans:
        if left > 0:
            yield rows.head(left)
            left -= record.rows_accepted


def _upload_rows(lake: Lake, upload: UploadRecord) -> pl.LazyFrame:
    rows = scan_accepted(lake, upload.tenant, upload.upload_id)
    return rows.select(
        *_KEY,
        "event_id",
        "quantity",
        "deleted",
        received_at=pl.lit(upload.created_at, TIME),
        sequence=pl.lit(upload.sequence, pl.Int64),
    )


def _deletions(scans: list[tuple[UploadRecord, pl.LazyFrame]]) -> pl.DataFrame:
    """Rows that take earlier ones back; few, and skipped by Parquet's statistics where a file has none."""
    parts = [rows.filter("deleted").drop("deleted") for _, rows in scans]
    return pl.concat([pl.LazyFrame(schema=_ROWS), *parts]).collect(engine="streaming")


def _event_rows(db: ControlDb, tenant: TenantId, *, limit: int | None = None) -> pl.DataFrame:
    statement = (
        select(
            EventRow.user_id,
            EventRow.item_id,
            EventRow.interaction_type,
            EventRow.timestamp,
            EventRow.event_id,
            EventRow.quantity,
            EventRow.created_at,
        )
        .where(
            EventRow.tenant_id == tenant.value,
            EventRow.user_id != NOBODY,
            EventRow.item_id.is_not(None),
            EventRow.interaction_type != IMPRESSION,
        )
        .order_by(EventRow.seq.desc())
        .limit(limit)
    )
    with db.engine.connect() as connection:
        rows = connection.execute(statement).fetchall()
    # Events have no place in the order of uploads: their time of arrival decides.
    schema = {name: dtype for name, dtype in _ROWS.items() if name != "sequence"}
    frame = pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    return frame.with_columns(sequence=pl.lit(2**63 - 1, pl.Int64))


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counts, and what makes them less than they seem."""

    counts: Counts
    warnings: tuple[str, ...]


def _count(
    uploads: list[pl.LazyFrame], deletions: pl.DataFrame, events: pl.DataFrame, weights: InteractionWeights
) -> _Counted:
    kept = [pl.LazyFrame(schema=_ROWS), *(rows.filter(~pl.col("deleted")).drop("deleted") for rows in uploads)]
    uploaded = _without_deleted(pl.concat(kept), deletions)
    tracked = _without_deleted(events.lazy(), deletions)
    if events.height:
        # Uploads are free of duplicates; an event may be in an upload, too.
        tracked = tracked.unique(_KEY)
        tracked = tracked.join(uploaded, on=_KEY, how="anti")
        tracked = tracked.join(uploaded, on=("event_id", *EVENT_CONTENT), how="anti")
    rows = pl.concat([uploaded, tracked])
    kind = pl.col("interaction_type")
    training = [name for name in INTERACTION_TYPES if _trains(name, weights)]
    pieces = pl.when(kind.is_in(TYPES_WITH_PIECES)).then(pl.col("quantity").fill_null(1.0))
    pairs = (
        rows.with_columns(pieces=pieces)
        .group_by("user_id", "item_id", "interaction_type")
        .agg(rows=(pl.col("pieces").fill_null(1.0) > 0).sum(), pieces=pl.col("pieces").sum())
        # What came back as a whole is no interaction, and trains nothing.
        .with_columns(rows=pl.when(kind.is_in(TYPES_WITH_PIECES) & (pl.col("pieces") <= 0)).then(0).otherwise("rows"))
        .group_by("user_id", "item_id")
        .agg(
            interactions=pl.col("rows").filter(kind.is_in(training)).sum(),
            disliked=(kind == "dislike").any(),
        )
        .filter(~pl.col("disliked") & (pl.col("interactions") > 0))
    )
    per_user = pairs.group_by("user_id").agg(pl.len().alias("items"), pl.col("interactions").sum())
    time = pl.col("timestamp")
    users, items, times, *frequent = pl.collect_all(
        [
            per_user.select(
                interactions=pl.col("interactions").sum(),
                users=pl.len(),
                users_with_two_items=(pl.col("items") >= 2).sum(),
            ),
            pairs.select(items=pl.col("item_id").n_unique()),
            rows.select(times=time.n_unique(), days=time.dt.date().n_unique(), rows=pl.len()),
            *(rows.group_by(pl.col(name).alias("id")).agg(pl.len().alias("rows")).top_k(2, by="rows") for name in _IDS),
        ],
        engine="streaming",
    )
    total = times["rows"][0]
    warnings = (_dominance(name, dict(found.iter_rows()), total) for name, found in zip(_IDS, frequent, strict=True))
    counts = Counts(**users.row(0, named=True), **items.row(0, named=True), **times.drop("rows").row(0, named=True))
    return _Counted(counts, tuple(warning for warning in warnings if warning is not None))


def _dominance(name: str, counts: dict[str, int], rows: int) -> str | None:
    """A sentence about an id that may stand for everybody whom the shop does not know; None when there is none."""
    dominant = dominant_id(Counter(counts), rows)
    if dominant is None:
        return None
    return (
        f"{counts[dominant] / rows:.1%} of the interactions have the {name} {dominant[:100]!r}, ten times as many as "
        "any other. If it stands for everybody whom the shop does not know, delete these rows, and leave them out or "
        "name it in the setting uploads.placeholder_ids."
    )


def _without_deleted(rows: pl.LazyFrame, deletions: pl.DataFrame) -> pl.LazyFrame:
    """Drop rows that a later deletion names by its event id, or by user, item, type and time."""
    for key in (("event_id",), _KEY):
        last = (
            deletions.drop_nulls(key)
            .sort("received_at", "sequence")
            .group_by(key)
            .agg(pl.col("received_at").last().alias("deleted_at"), pl.col("sequence").last().alias("deleted_in"))
        )
        if last.height:
            later = (pl.col("deleted_at") > pl.col("received_at")) | (
                (pl.col("deleted_at") == pl.col("received_at")) & (pl.col("deleted_in") > pl.col("sequence"))
            )
            joined = rows.join(last.lazy(), on=key, how="left")
            rows = joined.filter(~later.fill_null(False)).drop("deleted_at", "deleted_in")
    return rows


def _trains(interaction_type: str, weights: InteractionWeights) -> bool:
    if interaction_type == "rating":
        return weights.rating_max > 0
    return float(getattr(weights, interaction_type)) > 0


def _readiness(counted: _Counted, *, exact: bool) -> Readiness:
    counts = counted.counts
    level: Level = "not_ready"
    missing: tuple[str, ...] = ()
    following: Level | None = None
    for name, needed in _LEVELS:
        missing = _missing(counts, needed, name)
        if missing:
            following = name
            break
        level = name
    return Readiness(
        level=level,
        next_level=following,
        counts=counts,
        exact=exact,
        thresholds=dict(_LEVELS),
        missing=missing,
        warnings=counted.warnings,
    )


def _missing(counts: Counts, needed: Counts, level: Level) -> tuple[str, ...]:
    found = []
    for name, least in needed:
        short = least - getattr(counts, name)
        if short > 0:
            one, many = _WORDS[name]
            needs = "is needed" if least == 1 else "are needed"
            found.append(f"{short:,} more {one if short == 1 else many} ({least:,} {needs} {_USE[level]})")
    return tuple(found)
