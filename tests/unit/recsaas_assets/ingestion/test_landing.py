"""What a shop can put into its landing folder to reach another shop's files, or to hold up a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import recsaas_assets.ingestion.landing as landing
from recsaas_assets.ingestion.landing import LandedFile, take_landed_files
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import Tenant, get_tenant
from resources.control_db.uploads import list_uploads
from resources.landing.folders import list_landing
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
OURS = "item_id,title\na,Lamp\n"
SECRET = "item_id,title\nb,Their Secret\n"


@pytest.fixture
def blue(db: ControlDb, shops: tuple[TenantId, TenantId]) -> Tenant:
    return get_tenant(db, TenantId("blue"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Blue has a file of its own, green a secret one."""
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    drop(lake, "blue/items/ours.csv", OURS)
    drop(lake, "green/items/theirs.csv", SECRET)
    return lake


def drop(lake: Lake, place: str, text: str) -> Path:
    path = landing_of(lake) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def landing_of(lake: Lake) -> Path:
    return Path(str(lake.landing_root))


def take(lake: Lake, db: ControlDb, tenant: Tenant) -> tuple[LandedFile, ...]:
    return take_landed_files(
        TenantStore(lake, db, tenant.id), Kind.ITEMS, UploadPolicy(tenant.settings, 10_000), now=NOW
    )


def green_is_untouched(lake: Lake, tenant: Tenant, db: ControlDb) -> bool:
    """Whether green's file lies where it was, and nothing of it is in blue's part of the lake."""
    folder = lake.tenant(tenant.id).root
    copies = [file.name for file in list_files(folder) if SECRET.encode() in (folder / file.name).read_bytes()]
    names = {upload.filename for upload in list_uploads(db, tenant.id)}
    return (
        (landing_of(lake) / "green/items/theirs.csv").read_text() == SECRET and not copies and not names - {"ours.csv"}
    )


def link_file(root: Path) -> None:
    (root / "blue/items/x.csv").symlink_to(root / "green/items/theirs.csv")


def link_kind(root: Path) -> None:
    (root / "blue/items").rename(root / "blue/mine")
    (root / "blue/items").symlink_to("../green/items", target_is_directory=True)


def link_tenant(root: Path) -> None:
    (root / "blue").rename(root / "red")
    (root / "blue").symlink_to("green", target_is_directory=True)


def link_taking(root: Path) -> None:
    (root / "blue/items/.taking").symlink_to("../../green/items", target_is_directory=True)


def link_notice(root: Path) -> None:
    drop_bad = root / "blue/items/bad.csv"
    drop_bad.write_text("<html></html>")
    (root / "blue/items/bad.csv.why.json").symlink_to("../../green/items/theirs.csv")
    (root / "blue/items/.refused").symlink_to("../../green/items", target_is_directory=True)


@pytest.mark.parametrize("plant", [link_file, link_kind, link_tenant, link_taking, link_notice])
def test_no_part_of_the_path_is_reached_through_a_link(
    lake: Lake, db: ControlDb, blue: Tenant, plant: Callable[[Path], None]
) -> None:
    plant(landing_of(lake))
    take(lake, db, blue)
    assert green_is_untouched(lake, blue, db)
    assert sorted(path.name for path in (landing_of(lake) / "green/items").iterdir()) == ["theirs.csv"]


@pytest.mark.parametrize("plant", [link_file, link_kind, link_tenant])
def test_no_part_of_the_path_becomes_a_link_between_the_listing_and_the_taking(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path], None]
) -> None:
    root = landing_of(lake)
    for name in ("x.csv", "theirs.csv"):
        shutil.copy2(root / "green/items/theirs.csv", root / "blue/items" / name)  # same name, size and time
        (root / "blue/items" / name).write_text(SECRET.replace("Their Secret", "Their Nothin"))
        shutil.copystat(root / "green/items/theirs.csv", root / "blue/items" / name)
    reserve = landing._reserve

    def replaced(*arguments: object) -> object:
        monkeypatch.undo()
        (root / "blue/items/x.csv").unlink()
        plant(root)
        return reserve(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(landing, "_reserve", replaced)
    take(lake, db, blue)
    take(lake, db, blue)
    assert (root / "green/items/theirs.csv").read_text() == SECRET
    folder = lake.tenant(blue.id).root
    assert not [file for file in list_files(folder) if SECRET.encode() in (folder / file.name).read_bytes()]


def test_a_file_that_becomes_a_link_while_it_is_moved_is_refused_as_a_link(
    lake: Lake, db: ControlDb, blue: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rename = landing_of(lake), os.rename

    def replaced(*arguments: object, **folders: object) -> None:
        monkeypatch.undo()
        (root / "blue/items/ours.csv").unlink()
        (root / "blue/items/ours.csv").symlink_to(root / "green/items/theirs.csv")
        rename(*arguments, **folders)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", replaced)
    (landed,) = take(lake, db, blue)
    assert (landed.name, landed.report) == ("ours.csv", None)
    assert "a link or a folder" in str(landed.refusal)
    assert green_is_untouched(lake, blue, db)
    assert take(lake, db, blue) == ()


def test_a_hard_link_to_somebody_else_s_file_is_refused(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    root = landing_of(lake)
    os.link(root / "green/items/theirs.csv", root / "blue/items/linked.csv")
    landed = {each.name: each for each in take(lake, db, blue)}
    assert landed["ours.csv"].report is not None
    assert "second name" in str(landed["linked.csv"].refusal)
    assert [upload.filename for upload in list_uploads(db, blue.id)] == ["ours.csv"]
    green = get_tenant(db, TenantId("green"))
    assert [each.report for each in take(lake, db, green)] == [None], "or its last name would be the thief's"


def test_links_pipes_and_folders_are_no_files(lake: Lake, db: ControlDb, blue: Tenant, tmp_path: Path) -> None:
    folder = landing_of(lake) / "blue/items"
    (folder / "link.csv").symlink_to(tmp_path / "control.db")
    (folder / "nowhere.csv").symlink_to(tmp_path / "missing")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    assert [each.name for each in take(lake, db, blue)] == ["ours.csv"]


@pytest.mark.parametrize("name", [b"\xff\xfe latin.csv", b"new\nline.csv", b"x" * 251 + b".csv", b"[bold].csv"])
@pytest.mark.parametrize("text", [OURS.replace("Lamp", "Desk"), "<html></html>"])
def test_a_file_of_any_name_holds_nothing_up(lake: Lake, db: ControlDb, blue: Tenant, name: bytes, text: str) -> None:
    path = landing_of(lake) / "blue/items" / os.fsdecode(name)
    path.write_text(text)
    landed = take(lake, db, blue)
    assert len(landed) == 2
    for each in landed:
        each.name.encode()  # it is logged, stored and shown
    assert [upload.filename for upload in list_uploads(db, blue.id)].count("ours.csv") == 1
    assert not path.exists()
    assert take(lake, db, blue) == ()


def test_a_folder_of_thousands_of_folders_is_not_walked_to_its_end(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    deep = landing_of(lake) / "blue/aaa"
    descriptor = os.open(landing_of(lake) / "blue", os.O_RDONLY)
    for name in ("aaa", *["d"] * 1500):  # deeper than a path is long, and than Python calls itself
        os.mkdir(name, dir_fd=descriptor)
        inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    try:
        assert [each.name for each in take(lake, db, blue)] == ["ours.csv"]
    finally:
        _remove(deep)


def _remove(folder: Path) -> None:
    """Remove a chain of folders from the inside, which `shutil.rmtree` cannot."""
    while (folder / "d").exists():
        inner = folder / "d"
        inner.rename(folder.parent / "next")
        folder.rmdir()
        (folder.parent / "next").rename(folder)
    folder.rmdir()


def test_what_an_older_version_left_in_hand_is_taken_in(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    """It moved a file to `.taking/` beside the others, and a second one of its name waited for the first."""
    drop(lake, "blue/items/.taking/ours.csv", OURS.replace("Lamp", "Desk"))
    names = [each.name for _ in range(2) for each in take(lake, db, blue)]
    assert names == ["ours.csv", "ours.csv"]
    folder = lake.tenant(blue.id)
    texts = [(folder.upload(upload.upload_id) / "original.csv").read_text() for upload in list_uploads(db, blue.id)]
    assert texts == [OURS.replace("Lamp", "Desk"), OURS]


def test_a_landing_folder_on_another_disk(lake: Lake, db: ControlDb, blue: Tenant) -> None:
    here = Path(str(lake.root)).stat().st_dev
    disks = [disk for disk in (Path("/dev/shm"), Path("/var/tmp")) if disk.is_dir() and disk.stat().st_dev != here]
    if not disks:
        pytest.skip("there is no second disk here")
    home = disks[0] / f"recsaas-landing-{os.getpid()}"
    landing_of(lake).rename(landing_of(lake).with_name("moved"))
    try:
        shutil.copytree(landing_of(lake).with_name("moved"), home)
        landing_of(lake).symlink_to(home, target_is_directory=True)
        bad = drop(lake, "blue/items/bad.csv", "<html></html>")
        os.link(home / "green/items/theirs.csv", home / "blue/items/linked.csv")
        landed = {each.name: each for each in take(lake, db, blue)}
        assert landed["ours.csv"].report is not None
        assert landed["bad.csv"].refusal is not None
        assert "second name" in str(landed["linked.csv"].refusal)
        assert not bad.exists()
        assert not (home / "blue/items/ours.csv").exists()
        assert green_is_untouched(lake, blue, db)
        drop(lake, "blue/items/late.csv", OURS)
        os.utime(home / "blue/items/late.csv", (4e11, 4e11))  # a year that no date has
        landed_later = [each for _ in range(2) for each in take(lake, db, blue)]  # its time may change on the way
        assert "late.csv" in {each.name for each in landed_later}
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize(
    "name",
    ["x.csv.part", "x.csv.FILEPART", "x.tmp", "x.csv~", "x.csv.crdownload", "x.csv.partial", "~$x.csv", ".x.csv"],
)
def test_a_name_of_a_file_that_is_being_written_waits(lake: Lake, db: ControlDb, blue: Tenant, name: str) -> None:
    being_written = drop(lake, f"blue/items/{name}", OURS)
    elsewhere = drop(lake, f"blue/orders/{name}", OURS)
    assert [file.name for file in take(lake, db, blue)] == ["ours.csv"]
    landing.refuse_misplaced(lake, [blue.id], list_landing(lake), now=NOW, settle_seconds=0)
    assert being_written.exists()
    assert elsewhere.exists()
    assert list(being_written.parent.glob("*.why.json")) == []


@pytest.mark.parametrize("place", ["orders/x.csv", "x.csv", "Items/x.csv", "items/2024/x.csv"])
def test_a_file_where_no_run_looks_is_refused_where_its_sender_sees_it(lake: Lake, blue: Tenant, place: str) -> None:
    dropped = drop(lake, f"blue/{place}", OURS)
    landing.refuse_misplaced(lake, [blue.id], list_landing(lake), now=NOW, settle_seconds=0)
    assert not dropped.exists()
    told = json.loads(dropped.with_name("x.csv.why.json").read_text())
    assert told["code"] == "unknown_folder"
    assert "Put files straight into one of interactions, items, users." in told["message"]
