"""From uploads and tracked events to the raw tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsaas_assets.ingestion.raw_tables import (
    GIANT_ROWS,
    RawTable,
    event_rows,
    raw_schema,
    set_excess_aside,
    set_giant_aside,
    settings_table,
    uploads_table,
    write_raw_table,
)
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import Tenant, get_tenant
from resources.control_db.uploads import (
    UploadRecord,
    counting_uploads,
    list_uploads,
    mark_ingested,
    pending_uploads,
    record_upload,
)
from resources.events.export import export_events
from resources.events.log import IMPRESSION, Event, EventLog
from resources.jobs.kinds.erasures import request_erasure
from resources.storage.lake import Lake, read_parquet
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload

WHEN = datetime(2025, 5, 1, 10, tzinfo=UTC)
ITEMS = "item_id,title,farbe\na,Lampe,rot\nb,Tür 日本,\n"
VIEWS = "user_id,item_id,interaction_type,timestamp\nu,a,view,2025-05-01T10:00:00Z\n"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


@pytest.fixture
def blue(db: ControlDb, shops: tuple[TenantId, TenantId]) -> Tenant:
    return get_tenant(db, shops[0])


def store(lake: Lake, db: ControlDb, tenant: TenantId, kind: Kind, text: str, now: datetime) -> str:
    report = store_upload(
        TenantStore(lake, db, tenant),
        IncomingUpload(kind, text.encode(), filename="f.csv", origin="cli", received_at=now),
        UploadPolicy(TenantSettings(), max_bytes=10_000),
    )
    return report.upload_id


def test_events_are_rows_of_the_contract_and_impressions_are_not(db: ControlDb, blue: Tenant, now: datetime) -> None:
    kinds = {"rating": 3.5, IMPRESSION: None, "view": None}
    events = [
        Event(event_id=kind, user_id="ü", item_id="a", interaction_type=kind, timestamp=WHEN, rating=rating)
        for kind, rating in kinds.items()
    ]
    EventLog(db).append(blue.id, events, now=now)
    frame = event_rows(EventLog(db).export_after(blue.id).lazy()).collect()
    assert frame.schema == raw_schema(Kind.INTERACTIONS)
    assert frame["event_id"].to_list() == ["rating", "view"]
    assert frame["row_number"].to_list() == [1, 3]
    assert frame["rating"].to_list() == [3.5, None]
    assert set(frame.select("upload_id", "timestamp", "received_at", "deleted").rows()) == {
        ("events", WHEN, now, False)
    }


@pytest.mark.parametrize("kind", list(Kind))
def test_a_tenant_without_data_has_an_empty_table(lake: Lake, db: ControlDb, blue: Tenant, kind: Kind) -> None:
    assert write_raw_table(TenantStore(lake, db, blue.id), kind) == RawTable(0, (), ())
    assert read_parquet(lake.tenant(blue.id).raw(kind)).schema == raw_schema(kind)


def test_two_uploads_with_different_columns_make_one_table(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime
) -> None:
    first = store(lake, db, blue.id, Kind.ITEMS, ITEMS, now)
    later = now + timedelta(days=1)
    second = store(lake, db, blue.id, Kind.ITEMS, "item_id,title,price,größe\nc,Tisch,9.5,XL\n", later)
    store(lake, db, TenantId("green"), Kind.ITEMS, "item_id,title\ngreen,x\n", now)
    raw = write_raw_table(TenantStore(lake, db, blue.id), Kind.ITEMS)
    table = read_parquet(lake.tenant(blue.id).raw("items"))
    assert (raw.rows, [upload.upload_id for upload in raw.uploads]) == (3, [first, second])
    assert table.select("upload_id", "item_id", "price", "extra_farbe", "extra_größe", "received_at").rows() == [
        (first, "a", None, "rot", None, now),
        (first, "b", None, None, None, now),
        (second, "c", 9.5, None, "XL", later),
    ]
    assert table["deleted"].to_list() == [False] * 3


def test_interactions_are_uploads_and_every_exported_event(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime
) -> None:
    upload = store(lake, db, blue.id, Kind.INTERACTIONS, VIEWS, now)
    events = [
        Event(event_id=f"e{n}", user_id="v", item_id=f"i{n}", interaction_type=kind, timestamp=WHEN)
        for n, kind in enumerate(("click", IMPRESSION, IMPRESSION, "purchase"))
    ]
    EventLog(db).append(blue.id, events, now=now)
    EventLog(db).append(TenantId("green"), events, now=now)
    assert write_raw_table(TenantStore(lake, db, blue.id), Kind.INTERACTIONS).rows == 1, (
        "an event counts when it is in the lake"
    )
    export_events(TenantStore(lake, db, blue.id), now=now)
    assert write_raw_table(TenantStore(lake, db, blue.id), Kind.INTERACTIONS).rows == 3
    table = read_parquet(lake.tenant(blue.id).raw("interactions"))
    assert table.select("upload_id", "item_id").rows() == [(upload, "a"), ("events", "i0"), ("events", "i3")]


def test_a_user_whose_erasure_waits_is_left_out(lake: Lake, db: ControlDb, blue: Tenant, now: datetime) -> None:
    """A run that began before the erasure must not bring the user back."""
    store(lake, db, blue.id, Kind.INTERACTIONS, VIEWS + VIEWS.splitlines()[1].replace("u", "v", 1), now)
    store(lake, db, blue.id, Kind.USERS, "user_id,ort\nu,Köln\nv,Ulm\n", now)
    request_erasure(db, blue.id, "u", now)
    for kind in (Kind.INTERACTIONS, Kind.USERS):
        assert write_raw_table(TenantStore(lake, db, blue.id), kind).rows == 1
        assert read_parquet(lake.tenant(blue.id).raw(kind))["user_id"].to_list() == ["v"]


def test_the_ledger_and_the_settings_as_dbt_reads_them(lake: Lake, db: ControlDb, blue: Tenant, now: datetime) -> None:
    assert uploads_table(()).height == 0
    store(lake, db, blue.id, Kind.ITEMS, ITEMS, now)
    ledger = uploads_table(list_uploads(db, blue.id))
    assert ledger.schema == uploads_table(()).schema
    assert ledger.select("kind", "rows_accepted", "created_at").rows() == [("items", 2, now)]
    row = settings_table(TenantSettings(rating_max=5))
    assert row.height == 1
    assert set(row.dtypes) == {pl.Float64}
    assert row.select("weight_purchase", "weight_dislike", "weight_cap", "rating_min", "rating_max").row(0) == (
        5,
        -1,
        10,
        0,
        5,
    )


def giant(db: ControlDb, tenant: TenantId, kind: str, number: int, rows: int, now: datetime) -> str:
    record = UploadRecord(
        tenant=tenant,
        upload_id=f"{kind}-{number:016}",
        kind=kind,
        sha256=f"{number:064}",
        filename=f"{number}.parquet",
        source="http",
        status="success",
        rows_accepted=rows,
        rows_rejected=0,
        rows_duplicate=0,
        created_at=now,
        ingested_run="an earlier one",
    )
    return record_upload(db, record).upload_id


def test_uploads_over_the_limit_are_set_aside_newest_first(db: ControlDb, blue: Tenant, now: datetime) -> None:
    first = giant(db, blue.id, "interactions", 1, 60, now)
    over = giant(db, blue.id, "users", 2, 50, now)
    small = giant(db, blue.id, "items", 3, 40, now)
    aside = set_excess_aside(db, blue.id, most_rows=100, now=now)
    assert [upload.upload_id for upload in aside] == [over]
    assert "50 rows" in str(aside[0].set_aside_reason)
    assert "RECSAAS_MAX_TENANT_ROWS" in str(aside[0].set_aside_reason)
    assert [upload.upload_id for upload in counting_uploads(db, blue.id)] == [first, small]
    assert set_excess_aside(db, blue.id, most_rows=100, now=now) == ()


def test_a_build_without_memory_sets_the_largest_upload_of_its_kind_aside(
    db: ControlDb, blue: Tenant, now: datetime
) -> None:
    giant(db, blue.id, "interactions", 1, 3 * GIANT_ROWS, now)
    users = giant(db, blue.id, "users", 2, 2 * GIANT_ROWS, now)
    giant(db, blue.id, "users", 3, GIANT_ROWS - 1, now)
    aside = set_giant_aside(db, blue.id, failed=["stg_users"], now=now)
    assert aside is not None
    assert (aside.upload_id, "stg_users failed" in str(aside.set_aside_reason)) == (users, True)
    assert set_giant_aside(db, blue.id, failed=["stg_users"], now=now) is None, "what is left is no giant"
    other = set_giant_aside(db, blue.id, failed=["int_sessions"], now=now)
    assert other is not None
    assert other.kind == "interactions"


def test_what_was_set_aside_after_a_run_starts_the_next_one(db: ControlDb, blue: Tenant, now: datetime) -> None:
    upload_id = giant(db, blue.id, "users", 1, 2 * GIANT_ROWS, now)
    mark_ingested(db, blue.id, [upload_id], run_id="failed")
    assert pending_uploads(db) == ()
    set_giant_aside(db, blue.id, failed=["stg_users"], now=now)
    assert [upload.upload_id for upload in pending_uploads(db)] == [upload_id]
