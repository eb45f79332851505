"""Dropped files, on a folder and on an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from upath import UPath

import recsaas_assets.ingestion.landing as landing
from recsaas_assets.ingestion.landing import (
    LandedFile,
    is_quiet,
    refuse_misplaced,
    take_landed_files,
    waiting_by_tenant,
    waiting_files,
)
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import Tenant, create_tenant, get_tenant
from resources.control_db.uploads import list_uploads
from resources.landing.folders import list_landing
from resources.landing.refused import list_refused
from resources.storage.file_store import StoredFile
from resources.storage.lake import Lake, read_bytes, read_json, write_bytes
from resources.storage.listing import list_files, stored_file
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
ITEMS = "item_id,title,farbe\na,Lampe,rot\nb,Tür 日本,\n"
VIEWS = "user_id,item_id,interaction_type,timestamp\nu,a,view,2025-05-01T10:00:00Z\n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    for name in ("blue", "green"):
        create_tenant(db, TenantId(name), name=name, now=NOW)
    yield db
    db.close()


@pytest.fixture
def blue(db: ControlDb) -> Tenant:
    return get_tenant(db, TenantId("blue"))


def drop(lake: Lake, tenant: Tenant, name: str, text: str, *, age: int = 0, kind: str = "items") -> UPath:
    path = lake.landing(tenant.id, kind) / name
    write_bytes(path, text.encode())
    if isinstance(path, Path):
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def take(
    lake: Lake, db: ControlDb, tenant: Tenant, kind: Kind = Kind.ITEMS, *, max_bytes: int = 10_000
) -> tuple[LandedFile, ...]:
    return take_landed_files(TenantStore(lake, db, tenant.id), kind, UploadPolicy(tenant.settings, max_bytes), now=NOW)


def left(lake: Lake, tenant: Tenant) -> list[str]:
    return sorted(file.name for file in list_files(lake.landing(tenant.id, "items")))


def ours(lake: Lake, tenant: Tenant) -> list[str]:
    """What lies in the tenant's part of the lake for its dropped files."""
    return sorted(file.name for file in list_files(lake.tenant(tenant.id).root / "landing"))


def test_an_accepted_file_leaves_the_folder_and_is_an_upload(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    drop(lake, blue, "Artikel ü.csv", ITEMS)
    (landed,) = take(lake, db, blue)
    assert (landed.name, landed.refusal) == ("Artikel ü.csv", None)
    assert landed.report is not None
    assert landed.report.rows_accepted == 2
    assert left(lake, blue) == []
    (upload,) = list_uploads(db, blue.id)
    assert (upload.source, upload.filename, upload.created_at) == ("landing", "Artikel ü.csv", NOW)
    original = lake.tenant(blue.id).upload(upload.upload_id) / "original.csv"
    assert read_bytes(original).decode() == ITEMS


@pytest.mark.parametrize(
    ("text", "max_bytes", "code"),
    [("", 10_000, "empty_file"), ("<html></html>", 10_000, "not_csv"), (ITEMS, 10, "too_large")],
)
def test_a_refused_file_moves_aside_with_the_reason_and_does_not_hold_up_the_next(
    lake: Lake, db: ControlDb, blue: Tenant, text: str, max_bytes: int, code: str
) -> None:
    drop(lake, blue, "aber schlecht ü.csv", text, age=10)
    if code != "too_large":
        drop(lake, blue, "gut.csv", ITEMS)
    landed = take(lake, db, blue, max_bytes=max_bytes)
    assert landed[0].report is None
    assert landed[0].refusal
    assert [file.report is not None for file in landed[1:]] == [True] * (len(landed) - 1)
    assert left(lake, blue) == ["aber schlecht ü.csv.why.json"], "where its sender sees it"
    (refused,) = list_refused(lake, blue.id)
    assert (refused.file, refused.code, refused.message) == ("items/aber schlecht ü.csv", code, landed[0].refusal)
    assert (refused.size, refused.refused_at) == (len(text.encode()), NOW)
    kept = lake.tenant(blue.id).refused / refused.id / "aber schlecht ü.csv"
    assert read_bytes(kept).decode() == text
    notice = read_json(lake.landing(blue.id, "items") / "aber schlecht ü.csv.why.json")
    assert (notice["code"], notice["message"]) == (code, landed[0].refusal)
    assert take(lake, db, blue, max_bytes=max_bytes) == ()


def test_a_refused_file_does_not_replace_the_one_refused_before(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    for text in ("", "<html></html>", ""):
        drop(lake, blue, "a.csv", text)
        take(lake, db, blue)
    assert sorted(each.code for each in list_refused(lake, blue.id)) == ["empty_file", "empty_file", "not_csv"]
    assert sum(name.endswith("/a.csv") for name in ours(lake, blue)) == 3


def test_the_reason_goes_when_a_good_file_of_the_name_is_taken(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    for text in ("", ITEMS):
        drop(lake, blue, "a.csv", text)
        take(lake, db, blue)
    assert left(lake, blue) == []
    assert len(list_refused(lake, blue.id)) == 1


def test_the_same_file_dropped_again_is_the_same_upload(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    for _ in range(2):
        drop(lake, blue, "a.csv", ITEMS)
        take(lake, db, blue)
    assert len(list_uploads(db, blue.id)) == 1
    assert waiting_files(lake, blue.id, Kind.ITEMS) == ()


@pytest.mark.parametrize("moment", ["while it is copied", "while it is stored"])
def test_a_file_replaced_meanwhile_stays_for_the_next_time(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = drop(lake, blue, "a.csv", ITEMS)
    newer = ITEMS.replace("Lampe", "Leuchte")
    step = "fetch_file" if moment == "while it is copied" else "store_in_child"
    original = getattr(landing, step)

    def replaced(*args: object, **options: object) -> object:
        result = original(*args, **options)
        write_bytes(path, newer.encode())
        return result

    monkeypatch.setattr(landing, step, replaced)
    take(lake, db, blue)
    assert read_bytes(path).decode() == newer
    monkeypatch.undo()
    assert len(take(lake, db, blue)) == 1
    texts = {
        read_bytes(lake.tenant(blue.id).upload(upload.upload_id) / "original.csv").decode()
        for upload in list_uploads(db, blue.id)
    }
    assert newer in texts
    assert left(lake, blue) == []


def test_a_file_that_a_dead_run_has_taken_comes_first_and_its_successor_next(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(lake, blue, "a.csv", ITEMS)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(landing, "store_in_child", killed)
    with pytest.raises(KeyboardInterrupt):
        take(lake, db, blue)
    monkeypatch.undo()
    (waiting,) = waiting_files(lake, blue.id, Kind.ITEMS)
    assert (waiting.name, waiting.moved) == ("a.csv", isinstance(lake.root, Path))
    if isinstance(lake.root, Path):
        drop(lake, blue, "a.csv", ITEMS.replace("Lampe", "Leuchte"), age=100)
    assert {landed.name for landed in take(lake, db, blue)} == {"a.csv"}
    texts = [
        read_bytes(lake.tenant(blue.id).upload(upload.upload_id) / "original.csv").decode()
        for upload in list_uploads(db, blue.id)
    ]
    assert texts == [ITEMS, ITEMS.replace("Lampe", "Leuchte")][: len(texts)]
    assert len(texts) == (2 if isinstance(lake.root, Path) else 1)
    assert left(lake, blue) == []


def test_a_file_replaced_before_it_is_taken_has_to_settle(
    tmp_path: Path, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    drop(lake, blue, "a.csv", ITEMS)
    listed = waiting_files(lake, blue.id, Kind.ITEMS)
    drop(lake, blue, "a.csv", ITEMS[:30], age=5)
    monkeypatch.setattr(landing, "waiting_files", lambda *_: listed)
    assert take(lake, db, blue) == ()
    assert (left(lake, blue), ours(lake, blue)) == ([], ["taking/items/a.csv"])
    assert list_uploads(db, blue.id) == ()


def test_a_file_its_owner_takes_back_is_no_error(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(lake, blue, "a.csv", ITEMS)
    listed = waiting_files(lake, blue.id, Kind.ITEMS)
    path.unlink()
    monkeypatch.setattr(landing, "waiting_files", lambda *_: listed)
    assert take(lake, db, blue) == ()


def test_files_of_one_tenant_and_kind_are_taken_alone(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    green = get_tenant(db, TenantId("green"))
    drop(lake, green, "a.csv", ITEMS)
    drop(lake, blue, "v.csv", VIEWS, kind="interactions")
    assert take(lake, db, blue) == ()
    assert list_uploads(db, green.id) == ()
    listing = waiting_by_tenant(list_landing(lake))
    assert {name: [(f.kind, f.name) for f in files] for name, files in listing.items()} == {
        "blue": [(Kind.INTERACTIONS, "v.csv")],
        "green": [(Kind.ITEMS, "a.csv")],
    }


def test_one_listing_is_sorted_by_tenant_and_age() -> None:
    def file(name: str, second: int = 0) -> StoredFile:
        return StoredFile(name, 1, NOW + timedelta(seconds=second), name)

    listing = [
        file("blue/items/new.csv", 2),
        file("blue/users/old.csv", 1),
        file("blue/items/.still-writing.csv"),
        file("blue/items/still-writing.csv.part"),
        file("blue/items/still-writing.csv.FilePart"),
        file("blue/items/still-writing.tmp"),
        file("blue/items/a.csv~"),
        file("blue/items/a.csv.why.json"),
        file("blue/items/.refused/x.csv"),
        file("blue/items/folder/x.csv"),
        file("blue/other/x.csv"),
        file("blue/x.csv"),
        file("README"),
        file("../items/x.csv", 3),
    ]
    found = waiting_by_tenant(listing)
    assert [f.name for f in found.pop("blue")] == ["old.csv", "new.csv"]
    assert set(found) == {".."}, "nobody's name, so nobody is asked"


@pytest.mark.parametrize("place", ["products/a.csv", "a.csv", "items/june/a.csv"])
def test_a_file_where_no_run_looks_is_refused_where_its_sender_sees_it(lake: Lake, blue: Tenant, place: str) -> None:
    path = lake.landing_root / "blue" / place
    for each in (path, path.with_name(".a.csv"), path.with_name("a.csv.part"), lake.landing_root / "no-shop" / place):
        write_bytes(each, ITEMS.encode())
    write_bytes(lake.landing(blue.id, "items") / "b.csv", ITEMS.encode())

    def refuse() -> tuple[str, ...]:
        return refuse_misplaced(lake, [blue.id], list_landing(lake), now=NOW, settle_seconds=0)

    assert refuse() == (f"blue/{place}",)
    (refused,) = list_refused(lake, blue.id)
    assert (refused.file, refused.code) == (place, "unknown_folder")
    assert read_json(path.with_name("a.csv.why.json"))["message"] == refused.message
    assert not path.exists()
    assert refuse() == ()
    assert [file.name for file in waiting_files(lake, blue.id, Kind.ITEMS)] == ["b.csv"]


@pytest.mark.parametrize(("age", "whole"), [(0, False), (2.9, False), (3, True), (-1, False), (-100, True)])
def test_a_file_settles(age: float, whole: bool) -> None:
    assert is_quiet(NOW - timedelta(seconds=age), now=NOW, settle_seconds=3) is whole


def test_a_file_that_still_grows_is_left_alone(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    path = drop(lake, blue, "a.csv", ITEMS)
    found = stored_file(path)
    assert found is not None
    store = TenantStore(lake, db, blue.id)
    for now, taken in ((found.changed_at, 0), (found.changed_at + timedelta(seconds=5), 1)):
        outcomes = take_landed_files(store, Kind.ITEMS, UploadPolicy(blue.settings, 10_000), now=now, settle_seconds=3)
        assert len(outcomes) == taken


@pytest.mark.parametrize(("end", "tries"), [(SystemExit, 2), (ValueError, 2), (TimeoutError, 4)])
def test_a_file_with_which_two_runs_have_died_is_refused(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch, end: type[BaseException], tries: int
) -> None:
    """A death is played by one that cannot put the note away; an outage counts as often as it likes."""
    if end is SystemExit:
        monkeypatch.setattr(landing._InHand, "__exit__", lambda *_: None)
    drop(lake, blue, "bad.csv", ITEMS, age=10)
    drop(lake, blue, "good.csv", ITEMS.replace("Lampe", "Leuchte"))
    original = landing.store_in_child

    def dies(store: TenantStore, upload: IncomingUpload, policy: UploadPolicy) -> object:
        if upload.filename == "bad.csv":
            raise end
        return original(store, upload, policy)

    monkeypatch.setattr(landing, "store_in_child", dies)
    for attempt in range(tries):
        assert max(file.deaths for file in waiting_files(lake, blue.id, Kind.ITEMS)) == (attempt if tries == 2 else 0)
        with pytest.raises(end):
            take(lake, db, blue)
    if tries > 2:
        return
    refused, taken = take(lake, db, blue)
    assert (refused.name, refused.report, taken.name) == ("bad.csv", None, "good.csv")
    assert taken.report is not None
    assert left(lake, blue) == ["bad.csv.why.json"]
    assert [each.code for each in list_refused(lake, blue.id)] == ["not_readable"]
    monkeypatch.undo()
    drop(lake, blue, "bad.csv", ITEMS)
    (again,) = take(lake, db, blue)
    assert again.report is not None, "a new file of the name begins anew"
    assert left(lake, blue) == []
