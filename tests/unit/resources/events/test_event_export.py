"""Exported events: every one once, in order, whoever dies or exports at the same time."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import resources.events.export as event_export
from resources.base.errors import CorruptArtifact
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.event_exports import list_event_exports, replace_event_export, tenants_with_new_events
from resources.events.export import export_events, forget_damaged_pieces, scan_exported_events, write_piece
from resources.events.log import EVENT_SCHEMA, Event, EventLog
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


def track(db: ControlDb, tenant: TenantId, *ids: str) -> None:
    when = datetime(2025, 6, 1, 10, tzinfo=UTC)
    events = [Event(event_id=i, user_id="ü", item_id="i", interaction_type="view", timestamp=when) for i in ids]
    EventLog(db).append(tenant, events, now=when)


def exported(lake: Lake, db: ControlDb, tenant: TenantId) -> list[str]:
    return scan_exported_events(TenantStore(lake, db, tenant)).collect()["event_id"].to_list()  # type: ignore[no-any-return]


def files(lake: Lake, tenant: TenantId) -> list[str]:
    folder = Path(lake.tenant(tenant).events)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_nothing_to_export(lake: Lake, db: ControlDb, shops: Shops, now: datetime) -> None:
    assert export_events(TenantStore(lake, db, shops[0]), now=now) is None
    assert scan_exported_events(TenantStore(lake, db, shops[0])).collect().schema == EVENT_SCHEMA
    assert tenants_with_new_events(db) == ()


def test_every_event_once_in_order_over_pages_and_tenants(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    blue, green = shops
    monkeypatch.setattr(event_export, "SMALL_PIECE", 0)
    track(db, green, "g")  # before everything of the other shop
    for n in range(5):
        track(db, blue, f"b{n}")
    assert tenants_with_new_events(db) == (blue, green)
    pieces = []
    while piece := export_events(TenantStore(lake, db, blue), now=now, limit=2):
        pieces.append(piece)
    assert [piece.rows for piece in pieces] == [2, 2, 1]
    assert exported(lake, db, blue) == [f"b{n}" for n in range(5)]
    assert exported(lake, db, green) == []
    assert tenants_with_new_events(db) == (green,)
    assert files(lake, blue) == [piece.file for piece in pieces]
    table = scan_exported_events(TenantStore(lake, db, blue)).collect()
    assert table.equals(EventLog(db).export_after(blue))


def test_a_small_newest_piece_grows_instead_of_leaving_crumbs(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_export, "SMALL_PIECE", 3)
    for n in range(8):
        track(db, shops[0], f"e{n}")
        assert export_events(TenantStore(lake, db, shops[0]), now=now) is not None
        assert exported(lake, db, shops[0]) == [f"e{i}" for i in range(n + 1)]
    assert [piece.rows for piece in list_event_exports(db, shops[0])] == [3, 3, 2]
    assert len(files(lake, shops[0])) == 3


def test_two_exporters_at_once_export_once(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one does all of its work between the first one's file and its record."""
    blue, _ = shops
    record = event_export.record_event_export

    def late(*args: object, **more: object) -> bool:
        monkeypatch.setattr(event_export, "record_event_export", record)
        track(db, blue, "later")
        assert export_events(TenantStore(lake, db, blue), now=now) is not None
        return record(*args, **more)  # type: ignore[arg-type]

    track(db, blue, "a", "b")
    monkeypatch.setattr(event_export, "record_event_export", late)
    assert export_events(TenantStore(lake, db, blue), now=now) is None
    assert exported(lake, db, blue) == ["a", "b", "later"]
    track(db, blue, "z")
    assert export_events(TenantStore(lake, db, blue), now=now) is not None
    assert exported(lake, db, blue) == ["a", "b", "later", "z"]
    assert len(files(lake, blue)) == 1, "the loser's file is removed"


def test_a_piece_that_was_written_anew_meanwhile_does_not_come_back(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure takes rows out of the newest piece, which an exporter has read and is about to write longer."""
    blue, _ = shops
    record = event_export.record_event_export
    track(db, blue, "erased", "a")
    before = export_events(TenantStore(lake, db, blue), now=now)
    assert before is not None
    left = scan_exported_events(TenantStore(lake, db, blue)).filter(pl.col("event_id") == "a").collect()

    def late(*args: object, **more: object) -> bool:
        folder = lake.tenant(blue).events
        rewritten = write_piece(folder, blue, left, first=before.first_seq, last=before.last_seq, now=now)
        assert replace_event_export(db, before, rewritten)
        return record(*args, **more)  # type: ignore[arg-type]

    track(db, blue, "b")
    monkeypatch.setattr(event_export, "record_event_export", late)
    assert export_events(TenantStore(lake, db, blue), now=now) is None
    monkeypatch.undo()
    assert export_events(TenantStore(lake, db, blue), now=now) is not None
    assert exported(lake, db, blue) == ["a", "b"]


def test_a_later_exporter_s_unrecorded_piece_is_left_alone(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime
) -> None:
    track(db, shops[0], "a")
    folder = Path(lake.tenant(shops[0]).events)
    folder.mkdir(parents=True)
    (folder / "000000000001-000000000009-00000000.parquet").touch()
    (folder / "000000000900-000000000901-00000000.parquet").touch()
    export_events(TenantStore(lake, db, shops[0]), now=now)
    assert len(files(lake, shops[0])) == 2
    assert "000000000900-000000000901-00000000.parquet" in files(lake, shops[0])


@pytest.mark.parametrize("damage", [b"changed", None])
def test_a_damaged_piece_says_how_to_export_again(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, damage: bytes | None
) -> None:
    track(db, shops[0], "a")
    piece = export_events(TenantStore(lake, db, shops[0]), now=now)
    assert piece is not None
    path = Path(lake.tenant(shops[0]).events / piece.file)
    path.unlink() if damage is None else path.write_bytes(damage)
    for read in (lambda: exported(lake, db, shops[0]), lambda: _continue(lake, db, shops[0], now)):
        with pytest.raises(CorruptArtifact, match=r"tenant blue (is missing|was changed).*export blue --again`"):
            read()
    assert forget_damaged_pieces(TenantStore(lake, db, shops[0])) == 1
    assert export_events(TenantStore(lake, db, shops[0]), now=now) is not None
    assert exported(lake, db, shops[0]) == ["a", "b"]
    assert forget_damaged_pieces(TenantStore(lake, db, shops[0])) == 0


def _continue(lake: Lake, db: ControlDb, tenant: TenantId, now: datetime) -> None:
    track(db, tenant, "b")
    export_events(TenantStore(lake, db, tenant), now=now)


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
import resources.events.export as event_export
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.base.tenant import TenantId
from pathlib import Path

def killing(name, *, before):
    real = getattr(event_export, name)
    def wrapped(*args, **more):
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(event_export, name, wrapped)

url, lake, name, before = sys.argv[1:]
killing(name, before=before == "before")
where = Lake.open(lake, scratch=Path(lake).parent / "scratch")
store = TenantStore(where, open_control_db(url, migrate=False), TenantId("blue"))
event_export.export_events(store, now=datetime.now(UTC))
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("step", "when"),
    [("write_bytes", "before"), ("write_bytes", "after"), ("record_event_export", "after")],
)
def test_killed_between_any_two_steps(
    lake: Lake, db: ControlDb, shops: Shops, now: datetime, step: str, when: str
) -> None:
    blue, _ = shops
    track(db, blue, "a", "b")
    export_events(TenantStore(lake, db, blue), now=now)
    track(db, blue, "c")
    url = db.engine.url.render_as_string()
    done = subprocess.run([sys.executable, "-c", _KILLED, url, str(lake.root), step, when], check=False)
    assert done.returncode == -signal.SIGKILL
    assert exported(lake, db, blue) == (["a", "b", "c"] if step == "record_event_export" else ["a", "b"])
    track(db, blue, "d")
    while export_events(TenantStore(lake, db, blue), now=now):
        pass
    assert exported(lake, db, blue) == ["a", "b", "c", "d"]
    assert files(lake, blue) == [piece.file for piece in list_event_exports(db, blue)]


def test_an_impression_is_exported_too(lake: Lake, db: ControlDb, shops: Shops, now: datetime) -> None:
    shown = Event(event_id="s", user_id="u", item_id=None, interaction_type="impression", timestamp=now, extra={"a": 1})
    EventLog(db).append(shops[0], [shown], now=now)
    export_events(TenantStore(lake, db, shops[0]), now=now)
    (row,) = scan_exported_events(TenantStore(lake, db, shops[0])).collect().rows(named=True)
    assert (row["item_id"], row["interaction_type"], row["extra"], row["received_at"]) == (
        None,
        "impression",
        '{"a": 1}',
        now,
    )
    assert pl.Schema(EVENT_SCHEMA) == scan_exported_events(TenantStore(lake, db, shops[0])).collect_schema()
