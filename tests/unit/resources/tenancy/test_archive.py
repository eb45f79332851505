"""A tenant goes from one installation into another, of another kind, and is the same there."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM
from resources.base.errors import Conflict, InvalidInput, TenantNotFound, TooLarge
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key, list_api_keys
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.items import ItemEdit, append_item_changes, list_item_changes
from resources.control_db.tenants import change_settings, create_tenant, get_tenant, list_tenants
from resources.control_db.uploads import list_uploads
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import request_erasure
from resources.storage.lake import Lake, read_bytes
from resources.storage.listing import list_files
from resources.tenancy import importing
from resources.tenancy.archive import HEAD, MANIFEST, check_name
from resources.tenancy.exporting import export_tenant
from resources.tenancy.importing import import_tenant
from resources.tenancy.reading import verify_archive
from resources.training.runs import list_runs, note_end
from tests.unit.resources.erasure.world import ZOE, World

NOW = datetime.fromisoformat("2024-06-01T12:00:00+00:00")
BLUE, GREEN = TenantId("blue"), TenantId("green")


def quiet(what: str, share: float) -> None:
    """Tell nobody."""


@pytest.fixture
def filled(tmp_path: Path, db: ControlDb) -> Iterator[World]:
    """Blue, with everything, in an installation where others have used numbers between its own."""
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    for tenant in (GREEN, BLUE):
        create_tenant(db, tenant, name=tenant.value, now=NOW)
    green = World(tmp_path, lake, db, GREEN)
    green.track("x", "y", "z")
    world = replace(green, tenant=BLUE)
    world.fill(ZOE)
    green.track("w")
    world.track("late")
    append_item_changes(db, BLUE, [ItemEdit("b1", "patch", {"title": "Änderung"})], now=NOW)
    change_settings(db, BLUE, {"training.model_type": "two_tower", "uploads.strictness": "strict"}, now=NOW)
    create_api_key(db, BLUE, name="secret", scopes=("admin",), now=NOW)
    note_end(db, BLUE, "run-1", status="completed", message=None, now=NOW)
    yield world
    world.decisions.close()


@pytest.fixture
def other(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[World]:
    """Another home, whose control DB is of the other kind; its numbers are ahead."""
    if database == "sqlite" and request.config.getoption("markexpr", "") != "not postgresql":
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.database(request.getfixturevalue("migrated_on_postgresql")))
    else:
        url = f"sqlite:///{tmp_path}/other/control.db"
    db = open_control_db(url)
    lake = Lake.open(str(tmp_path / "other" / "lake"), scratch=tmp_path / "other" / "scratch")
    create_tenant(db, TenantId("own"), name="own", now=NOW)
    own = World(tmp_path / "other", lake, db, TenantId("own"))
    own.track(*[f"o{n}" for n in range(50)])
    yield replace(own, tenant=BLUE)
    own.decisions.close()
    db.close()


def exported(world: World, name: str = "a.tar.gz") -> Path:
    file = world.home / name
    export_tenant(world.tenant_store, file, now=NOW, told=quiet)
    return file


def imported(world: World, file: Path, as_id: TenantId | None = None) -> World:
    made = import_tenant(world.lake, world.db, file, as_id=as_id, by=SYSTEM, now=NOW, told=quiet)
    return replace(world, tenant=made.id)


def files(world: World) -> dict[str, bytes]:
    root = world.folder.root
    return {
        file.name: read_bytes(root / file.name)
        for file in list_files(root)
        if file.name.split("/")[0] in ("uploads", "releases")
        and "manifest.json" not in file.name
        and "/." not in file.name
    }


def events(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = EventLog(world.db).export_after(world.tenant, 0, limit=1000, visitors=True).to_dicts()
    return rows


@pytest.mark.databases
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_it_is_the_same_in_another_installation(filled: World, other: World, name: str) -> None:
    there = imported(other, exported(filled, name))
    before, after = get_tenant(filled.db, BLUE), get_tenant(there.db, BLUE)
    assert (after.name, after.settings, after.status, after.created_at) == (
        before.name,
        before.settings,
        "active",
        before.created_at,
    )
    assert files(there) == files(filled) and len(files(filled)) > 20
    mine, theirs = events(filled), events(there)
    assert [{**row, "seq": 0} for row in theirs] == [{**row, "seq": 0} for row in mine] and len(mine) == 6
    shift = theirs[0]["seq"] - mine[0]["seq"]
    assert shift > 0 and [row["seq"] - shift for row in theirs] == [row["seq"] for row in mine]
    assert theirs[0]["seq"] > 50
    assert [replace(u, sequence=0) for u in list_uploads(there.db, BLUE)] == [
        replace(u, sequence=0) for u in list_uploads(filled.db, BLUE)
    ]
    assert [(c.item_id, c.fields) for c in list_item_changes(there.db, BLUE)] == [("b1", {"title": "Änderung"})]
    assert list_runs(there.db, BLUE) == list_runs(filled.db, BLUE)
    assert list_api_keys(there.db, BLUE) == ()
    assert there.store.pointer() == filled.store.pointer()
    for summary in there.store.list():
        there.store.verify(summary.version)
    there.track("afterwards")
    assert events(there)[-1]["seq"] > theirs[-1]["seq"]


@pytest.mark.databases
def test_its_releases_count_from_the_same_event_on(filled: World, other: World) -> None:
    seen = events(filled)[2]["seq"]
    version = filled.store.live_version()
    manifest = filled.store.manifest(version).model_copy(update={"event_watermark": seen, "item_watermark": 0})
    (Path(str(filled.store.directory(version))) / "manifest.json").write_bytes(manifest.to_json())
    there = imported(other, exported(filled))
    watermark = there.store.manifest(version).event_watermark
    assert [row["user_id"] for row in events(there) if row["seq"] > watermark] == [
        row["user_id"] for row in events(filled) if row["seq"] > seen
    ]
    assert there.store.manifest(version).item_watermark == 0


@pytest.mark.databases
def test_a_copy_under_another_id_beside_the_first(filled: World) -> None:
    copy = imported(filled, exported(filled), TenantId("blue-copy"))
    assert [row["user_id"] for row in events(copy)] == [row["user_id"] for row in events(filled)]
    assert {run.run_id for run in list_runs(copy.db, copy.tenant)}.isdisjoint(
        run.run_id for run in list_runs(filled.db, BLUE)
    )
    assert copy.store.manifest(copy.store.live_version()).tenant == "blue-copy"
    assert files(copy) == files(filled)


@pytest.mark.databases
def test_again_it_changes_nothing_and_a_taken_id_is_refused(filled: World, other: World) -> None:
    file = exported(filled)
    there = imported(other, file)
    assert len(events(imported(other, file))) == len(events(there))
    with pytest.raises(Conflict, match="Free are: own-shop, own-store, own-eu"):
        imported(other, file, TenantId("own"))
    filled.track("more")
    with pytest.raises(Conflict):
        imported(other, exported(filled, "b.tar.gz"))


@pytest.mark.databases
@pytest.mark.parametrize("dies_at", ["_rows", "_release", "_file", "pointer"])
def test_an_import_that_dies_shows_nothing_and_is_done_by_the_next(
    filled: World, other: World, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    file = exported(filled)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if dies_at == "pointer":
            patch.setattr(importing, "write_pointer", die)
        else:
            patch.setattr(importing._Import, dies_at, die)
        with pytest.raises(KeyboardInterrupt):
            imported(other, file)
    assert [tenant.id.value for tenant in list_tenants(other.db)] == ["own"]
    with pytest.raises(TenantNotFound):
        get_tenant(other.db, BLUE)
    there = imported(other, file)
    assert files(there) == files(filled)
    assert len(events(there)) == len(events(filled))


@pytest.mark.databases
@pytest.mark.parametrize("when", ["before the id is taken", "in the same moment"])
def test_a_tenant_that_was_made_meanwhile_is_not_taken_over(
    filled: World, other: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    file, looked = exported(filled), importing._earlier

    def made_meanwhile(db: ControlDb, tenant: TenantId, archive: Any) -> Any:
        found = looked(db, tenant, archive)
        create_tenant(db, tenant, name="Theirs", now=NOW)
        create_api_key(db, tenant, name="theirs", scopes=("admin",), now=NOW)
        if when == "in the same moment":  # the look at the row is a moment too early as well
            monkeypatch.setattr(Session, "get", lambda *_, **__: None)
        return found

    monkeypatch.setattr(importing, "_earlier", made_meanwhile)
    with pytest.raises(Conflict, match="is taken"):
        imported(other, file)
    monkeypatch.undo()
    assert (get_tenant(other.db, BLUE).name, get_tenant(other.db, BLUE).status) == ("Theirs", "active")
    assert [key.name for key in list_api_keys(other.db, BLUE)] == ["theirs"]


def test_no_secret_and_no_neighbour_goes_along(filled: World) -> None:
    change_settings(filled.db, GREEN, {"training.model_type": "two_tower"}, now=NOW)
    with tarfile.open(exported(filled)) as tar:
        names = tar.getnames()
        text = b"".join(stream.read() for name in names if (stream := tar.extractfile(name)) is not None)
    assert b"key_hash" not in text and b"sk_live_" not in text and b"green" not in text
    assert names[0] == HEAD and names[-1] == MANIFEST


def test_while_a_user_is_being_erased_nothing_is_exported(filled: World) -> None:
    request_erasure(filled.db, BLUE, ZOE, NOW)
    with pytest.raises(Conflict, match="still being erased"):
        exported(filled)
    assert not (filled.home / "a.tar.gz").exists()


Members = list[tuple[tarfile.TarInfo, bytes]]


def tampered(file: Path, change: Callable[[Members], None], *, listed: bool = False) -> Path:
    """The archive with a change of its members; `listed`: its manifest says that it is right."""
    members: Members = []
    with tarfile.open(file) as tar:
        for info in tar.getmembers():
            stream = tar.extractfile(info)
            members.append((info, b"" if stream is None else stream.read()))
    change(members)
    if listed:
        info, data = members[-1]
        manifest = json.loads(data)
        manifest["members"] = [
            {"name": each.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for each, content in members[:-1]
        ]
        members[-1] = info, json.dumps(manifest).encode()
    out = file.with_name("tampered.tar.gz")
    with tarfile.open(out, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = 0 if info.type != tarfile.REGTYPE else len(data)
            tar.addfile(info, io.BytesIO(data) if info.type == tarfile.REGTYPE else None)
    return out


def _added(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, target: str = "") -> Callable[[Members], None]:
    def change(members: Members) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        members.insert(-1, (info, data))

    return change


def _edited(name: str, old: bytes, new: bytes) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        for place, (info, data) in enumerate(members):
            if info.name == name:
                assert old in data
                members[place] = info, data.replace(old, new)

    return change


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        _added("../outside"),
        _added("/etc/cron.d/x"),
        _added("uploads/../../x"),
        _added("uploads/a/.hidden"),
        _added("keys/all.json"),
        _added("rows/api_keys/000000.jsonl", b"{}\n"),
        _added("uploads/a/link", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        _added("uploads/a/hard", kind=tarfile.LNKTYPE, target=HEAD),
        _added("uploads/a/pipe", kind=tarfile.FIFOTYPE),
        _added("uploads/a", kind=tarfile.DIRTYPE),
        _added("rows/events/000007.jsonl", b"{}\n"),
        _added("rows/events/000007.jsonl", b"no json\n"),
        _edited(HEAD, b'"format_version": 1', b'"format_version": 2'),
        _edited(HEAD, b'"revision": "0', b'"revision": "9'),
        _edited(HEAD, b'"tenant": "blue"', b'"tenant": "red"'),
        lambda members: members.pop(0),
        lambda members: members.pop(),
        lambda members: members.insert(1, members[1]),
    ],
)
def test_what_is_no_archive_of_ours_is_refused_before_anything_is_written(
    filled: World, change: Callable[[Members], None], listed: bool, tmp_path: Path
) -> None:
    file = tampered(exported(filled), change, listed=listed) if change else exported(filled)
    before = sorted(path for path in tmp_path.rglob("*") if "locks" not in str(path))
    with pytest.raises(InvalidInput):
        imported(filled, file, TenantId("evil"))
    assert sorted(path for path in tmp_path.rglob("*") if "locks" not in str(path)) == before
    assert [tenant.id for tenant in list_tenants(filled.db)] == [BLUE, GREEN]


def test_a_changed_byte_and_a_cut_are_found(filled: World) -> None:
    file = exported(filled, "a.tar")
    data = bytearray(file.read_bytes())
    place = data.index("Köln".encode())
    data[place : place + 1] = b"M"
    changed = file.with_name("changed.tar")
    changed.write_bytes(data)
    with pytest.raises(InvalidInput, match="was changed"):
        verify_archive(changed)
    for cut in (len(data) // 2, 700, 0):
        changed.write_bytes(file.read_bytes()[:cut])
        with pytest.raises(InvalidInput):
            verify_archive(changed)
        changed.write_bytes(gzip.compress(file.read_bytes())[: cut // 4 + 30])
        with pytest.raises(InvalidInput):
            verify_archive(changed)


def test_a_member_that_is_too_large_is_refused_by_its_header(filled: World, tmp_path: Path) -> None:
    exported(filled)
    info = tarfile.TarInfo(HEAD)
    info.size = check_name(HEAD) + 1
    file = tmp_path / "large.tar"
    file.write_bytes(info.tobuf(tarfile.PAX_FORMAT))
    with pytest.raises(TooLarge):
        verify_archive(file)
