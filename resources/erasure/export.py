"""Everything that is stored about one user, for the user to see (a right of access)."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, JsonValue

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.audit.subjects import subject_of
from resources.base.errors import UserNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import list_uploads
from resources.decisions.decision import as_fields
from resources.decisions.store import DecisionStore
from resources.erasure.places.matching import USER, count_in_table, rows_of
from resources.erasure.places.releases import releases_with, seen_items_in
from resources.erasure.places.uploads import rejected_rows_of
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import users_being_erased
from resources.release.store import ReleaseStore
from resources.storage.lake import TenantLake, parts, scan_parquet
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import REJECTED_REASON, REJECTED_ROW, Kind

Row = dict[str, JsonValue]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UploadedRow(_Part):
    """A row of a file that was accepted. `line` is its line in the file, `values` what was stored."""

    upload_id: str
    filename: str
    line: int
    values: Row


class RejectedRow(_Part):
    """A row of a file that was rejected, as it was sent, with the reason."""

    upload_id: str
    filename: str
    line: int
    reason: str
    values: Row


class ReleaseWithUser(_Part):
    """A release that knows the user."""

    version: str
    trained_at: datetime
    live: bool


class UserExport(_Part):
    """Everything that is stored about one user.

    `decisions` are the answers that the user was given; `features` has the rows of each table that the features of the
    shop are made of; `in_training_set` says whether the newest model was trained with the user; `seen_items` is what
    the live release knows of them, most recent last.
    """

    tenant: str
    user_id: str
    exported_at: datetime
    being_erased: bool
    uploads: tuple[UploadedRow, ...]
    rejected: tuple[RejectedRow, ...]
    events: tuple[Row, ...]
    decisions: tuple[Row, ...]
    features: dict[str, tuple[Row, ...]]
    in_training_set: bool
    releases: tuple[ReleaseWithUser, ...]
    seen_items: tuple[str, ...]


def export_user(
    store: TenantStore, decisions: DecisionStore, user_id: str, *, now: datetime, by: Actor = SYSTEM
) -> UserExport:
    """Collect everything that is stored about the user.

    Raises:
        UserNotFound: nothing is.
    """
    folder, tenant, db = store.folder, store.tenant, store.db
    releases = ReleaseStore(folder)
    accepted, rejected = _uploaded(store, user_id)
    live, knowing = releases.current(), releases_with(releases, user_id)
    training = folder.training / "users.parquet"
    found = UserExport(
        tenant=tenant.value,
        user_id=user_id,
        exported_at=now,
        being_erased=user_id in users_being_erased(db, tenant),
        uploads=accepted,
        rejected=rejected,
        events=_rows(EventLog(db).events_of_user(tenant, user_id)),
        decisions=tuple(as_fields(decision) for decision in decisions.of_user(tenant, user_id)),
        features=_features(folder, user_id),
        in_training_set=training.exists() and count_in_table(training, user_id) > 0,
        releases=tuple(
            ReleaseWithUser(version=each.version, trained_at=each.trained_at, live=each.version == live)
            for each in knowing
        ),
        seen_items=next(
            (seen_items_in(releases.directory(m.version), user_id) for m in knowing if m.version == live), ()
        ),
    )
    stored = (found.uploads, found.rejected, found.events, found.decisions, found.features, found.releases)
    if not any(stored) and not found.in_training_set:
        raise UserNotFound(f"Nothing is stored about user {user_id[:80]!r} of tenant {tenant}; check the id.")
    _record(db, tenant, user_id, now, by)
    return found


def _record(db: ControlDb, tenant: TenantId, user_id: str, now: datetime, by: Actor) -> None:
    """Record that somebody reads it, before they do."""
    with db.write() as session:
        subject = subject_of(session, tenant, user_id)
        record(session, by, Change(action="user.read", object_kind="user", object_id=subject), tenant=tenant, now=now)


def _uploaded(store: TenantStore, user_id: str) -> tuple[tuple[UploadedRow, ...], tuple[RejectedRow, ...]]:
    folder = store.folder
    accepted: list[UploadedRow] = []
    rejected: list[RejectedRow] = []
    for upload in list_uploads(store.db, store.tenant):
        if upload.kind == Kind.ITEMS:
            continue
        source = {"upload_id": upload.upload_id, "filename": upload.filename}
        for path in parts(folder.accepted(upload.upload_id)):
            for row in _rows(scan_parquet([path]).filter(rows_of(user_id)).drop("upload_id").collect()):
                accepted.append(UploadedRow(**source, line=row.pop("row_number"), values=row))
        for path in parts(folder.rejected(upload.upload_id)):
            for row in _rows(rejected_rows_of(path, user_id, Kind(upload.kind)).collect()):
                line, reason = row.pop(REJECTED_ROW), row.pop(REJECTED_REASON)
                rejected.append(RejectedRow(**source, line=line, reason=reason, values=row))
    return tuple(accepted), tuple(rejected)


def _features(folder: TenantLake, user_id: str) -> dict[str, tuple[Row, ...]]:
    """The user's rows of each dbt model that has a user column."""
    found = {}
    for file in sorted(list_files(folder.dbt), key=lambda file: file.name):
        if file.name.startswith(".") or "/" in file.name or not file.name.endswith(".parquet"):
            continue
        table = scan_parquet([folder.dbt / file.name])
        if USER in table.collect_schema():
            rows = _rows(table.filter(rows_of(user_id)).collect())
            if rows:
                found[file.name.removesuffix(".parquet")] = rows
    return found


def _rows(frame: pl.DataFrame) -> tuple[Any, ...]:
    """Rows as JSON has them: times as text, no number that JSON lacks."""
    return tuple({name: _json(value) for name, value in row.items()} for row in frame.iter_rows(named=True))


def _json(value: Any) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date, too
