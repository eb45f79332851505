"""From uploads, dropped files and tracked events to the raw tables."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

import recsaas_assets.ingestion as ingestion
from recsaas_assets.ingestion import (
    event_rows,
    raw_table,
    settings_table,
    take_landed_files,
    uploads_table,
    waiting_files,
)
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import Tenant, get_tenant
from resources.control_db.uploads import list_uploads
from resources.event_log import IMPRESSION, Event, EventLog, LoggedEvent
from resources.lake import Lake
from resources.tenant import TenantId
from resources.tenant_settings import TenantSettings
from resources.uploads.contract import Kind, accepted_schema
from resources.uploads.store import store_upload

WHEN = datetime(2025, 5, 1, 10, tzinfo=UTC)
ITEMS = "item_id,title,farbe\na,Lampe,rot\nb,Tür 日本,\n"
VIEWS = "user_id,item_id,interaction_type,timestamp\nu,a,view,2025-05-01T10:00:00Z\n"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"))


@pytest.fixture
def blue(db: ControlDb, shops: tuple[TenantId, TenantId]) -> Tenant:
    return get_tenant(db, shops[0])


def drop(lake: Lake, tenant: Tenant, name: str, text: str, *, age: int = 0, kind: str = "items") -> UPath:
    path = lake.landing(tenant.id, kind) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(str(path), (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def store(lake: Lake, db: ControlDb, tenant: TenantId, kind: Kind, text: str, now: datetime) -> str:
    report = store_upload(
        lake,
        db,
        tenant,
        kind,
        text.encode(),
        filename="f.csv",
        source="cli",
        settings=TenantSettings(),
        now=now,
        max_bytes=10_000,
    )
    return report.upload_id


def test_an_accepted_file_leaves_the_folder_and_is_an_upload(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime
) -> None:
    path = drop(lake, blue, "Artikel.csv", ITEMS)
    (landed,) = take_landed_files(lake, db, blue, Kind.ITEMS, now=now, max_bytes=10_000)
    assert (landed.name, landed.refusal) == ("Artikel.csv", None)
    assert landed.report is not None
    assert landed.report.rows_accepted == 2
    assert not path.exists()
    (upload,) = list_uploads(db, blue.id)
    assert (upload.source, upload.filename, upload.created_at) == ("landing", "Artikel.csv", now)
    original = lake.tenant(blue.id).upload(upload.upload_id) / "original.csv"
    assert original.read_text(encoding="utf-8") == ITEMS


@pytest.mark.parametrize(
    ("text", "max_bytes", "code"),
    [("", 10_000, "empty_file"), ("<html></html>", 10_000, "not_csv"), (ITEMS, 10, "too_large")],
)
def test_a_refused_file_moves_aside_with_the_reason_and_does_not_hold_up_the_next(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime, text: str, max_bytes: int, code: str
) -> None:
    drop(lake, blue, "schlecht ü.csv", text, age=10)
    if code != "too_large":
        drop(lake, blue, "gut.csv", ITEMS)
    landed = take_landed_files(lake, db, blue, Kind.ITEMS, now=now, max_bytes=max_bytes)
    assert landed[0].report is None
    assert landed[0].refusal
    assert [file.report is not None for file in landed[1:]] == [True] * (len(landed) - 1)
    folder = lake.landing(blue.id, "items")
    assert [entry.name for entry in folder.iterdir()] == [".refused"]
    refused = folder / ".refused"
    assert (refused / "schlecht ü.csv").read_text(encoding="utf-8") == text
    why = json.loads((refused / "schlecht ü.csv.why.json").read_text(encoding="utf-8"))
    assert why == {"code": code, "message": landed[0].refusal}
    assert take_landed_files(lake, db, blue, Kind.ITEMS, now=now, max_bytes=max_bytes) == ()


def test_the_same_file_dropped_again_is_the_same_upload(lake: Lake, db: ControlDb, blue: Tenant, now: datetime) -> None:
    for _ in range(2):
        drop(lake, blue, "a.csv", ITEMS)
        take_landed_files(lake, db, blue, Kind.ITEMS, now=now, max_bytes=10_000)
    assert len(list_uploads(db, blue.id)) == 1
    assert waiting_files(lake.landing(blue.id, "items")) == ()


def test_waiting_files_oldest_first_without_hidden_ones_and_folders(lake: Lake, blue: Tenant) -> None:
    assert waiting_files(lake.landing(blue.id, "items")) == ()
    drop(lake, blue, "new.csv", "x")
    drop(lake, blue, "old.csv", "x", age=60)
    drop(lake, blue, ".still-writing.csv", "x", age=90)
    (lake.landing(blue.id, "items") / "folder").mkdir()
    assert [path.name for path in waiting_files(lake.landing(blue.id, "items"))] == ["old.csv", "new.csv"]


def test_files_of_one_tenant_and_kind_are_taken_alone(lake: Lake, db: ControlDb, blue: Tenant, now: datetime) -> None:
    green = get_tenant(db, TenantId("green"))
    drop(lake, green, "a.csv", ITEMS)
    drop(lake, blue, "v.csv", VIEWS, kind="interactions")
    assert take_landed_files(lake, db, blue, Kind.ITEMS, now=now, max_bytes=10_000) == ()
    assert list_uploads(db, green.id) == ()


def test_events_are_rows_of_the_contract_and_impressions_are_not() -> None:
    def logged(seq: int, **fields: object) -> LoggedEvent:
        base = {"event_id": f"e{seq}", "user_id": "ü", "item_id": "a", "interaction_type": "view", "timestamp": WHEN}
        return LoggedEvent(seq, Event(**{**base, **fields}))  # type: ignore[arg-type]

    frame = event_rows(
        (
            logged(4, rating=3.5, interaction_type="rating"),
            logged(5, interaction_type=IMPRESSION),
            logged(6, item_id=None, interaction_type=IMPRESSION),
            logged(9),
        )
    )
    assert frame.schema == accepted_schema(Kind.INTERACTIONS)
    assert frame["row_number"].to_list() == [4, 9]
    assert frame["event_id"].to_list() == ["e4", "e9"]
    assert frame["rating"].to_list() == [3.5, None]
    assert set(frame["upload_id"]) == {"events"}
    assert frame["timestamp"].to_list() == [WHEN, WHEN]


def test_no_events_are_no_rows_of_the_same_shape() -> None:
    assert event_rows(()).schema == accepted_schema(Kind.INTERACTIONS)
    assert event_rows(()).height == 0


@pytest.mark.parametrize("kind", list(Kind))
def test_a_tenant_without_data_has_an_empty_table(lake: Lake, db: ControlDb, blue: Tenant, kind: Kind) -> None:
    table, uploads = raw_table(lake.tenant(blue.id), db, blue.id, kind)
    assert (table.height, table.schema, uploads) == (0, accepted_schema(kind), [])


def test_two_uploads_with_different_columns_make_one_table(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime
) -> None:
    first = store(lake, db, blue.id, Kind.ITEMS, ITEMS, now)
    second = store(lake, db, blue.id, Kind.ITEMS, "item_id,title,price,größe\nc,Tisch,9.5,XL\n", now)
    store(lake, db, TenantId("green"), Kind.ITEMS, "item_id,title\ngreen,x\n", now)
    table, uploads = raw_table(lake.tenant(blue.id), db, blue.id, Kind.ITEMS)
    assert uploads == [first, second]
    assert table.select("item_id", "upload_id", "row_number", "price").rows() == [
        ("a", first, 2, None),
        ("b", first, 3, None),
        ("c", second, 2, 9.5),
    ]
    assert table["extra_farbe"].to_list() == ["rot", None, None]
    assert table["extra_größe"].to_list() == [None, None, "XL"]


@pytest.mark.parametrize("page", [1, 2, 100])
def test_interactions_are_uploads_and_every_tracked_event(
    lake: Lake, db: ControlDb, blue: Tenant, now: datetime, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(ingestion, "_EVENTS_AT_ONCE", page)
    upload = store(lake, db, blue.id, Kind.INTERACTIONS, VIEWS, now)
    events = [
        Event(event_id=f"e{n}", user_id="v", item_id=f"i{n}", interaction_type=kind, timestamp=WHEN)
        for n, kind in enumerate(("click", IMPRESSION, IMPRESSION, "purchase"))
    ]
    EventLog(db).append(blue.id, events, now=now)
    EventLog(db).append(TenantId("green"), events, now=now)
    table, uploads = raw_table(lake.tenant(blue.id), db, blue.id, Kind.INTERACTIONS)
    assert uploads == [upload]
    assert table.select("upload_id", "item_id").rows() == [(upload, "a"), ("events", "i0"), ("events", "i3")]


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
