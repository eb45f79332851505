"""Bytes of an erased user leave the files of the databases, not only their rows."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, text

from resources.control_db.engine import open_control_db
from resources.decisions.store import open_decisions
from resources.erasure.certificate import certificate_of
from resources.erasure.perform import perform_erasure
from resources.erasure.places import databases
from resources.erasure.places.databases import remove_deleted_bytes
from resources.jobs.kinds.erasures import forget_user, get_erasure
from tests.unit.resources.erasure.world import NOW, ZOE, World, bytes_with

NEEDLE = "needle-7f3a9c1e"

# A neighbour such as another worker: it has read and written, and keeps its connections.
_NEIGHBOUR = """
import sys
from pathlib import Path
from resources.control_db.engine import open_control_db
from resources.jobs.kinds.erasures import pending_erasures
from resources.decisions.store import open_decisions
from resources.events.log import EventLog
from resources.base.tenant import TenantId

home, tenant = Path(sys.argv[1]), TenantId(sys.argv[2])
db = open_control_db(f"sqlite:///{home}/control.db", migrate=False)
decisions = open_decisions(f"sqlite:///{home}/decisions.db")
assert EventLog(db).export_after(tenant).height and pending_erasures(db) == ()
assert decisions.count(tenant, "ann")
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def neighbour_process(world: World) -> Iterator[None]:
    command = [sys.executable, "-c", _NEIGHBOUR, str(world.home), str(world.tenant)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield


@pytest.fixture
def full(world: World) -> World:
    """A user with so many events and answers, among those of others, that pages split and the log grows."""
    for turn in range(30):
        world.track(*(f"{NEEDLE}/{turn % 4}" if n % 3 else f"u{turn}-{n}" for n in range(20)))
        world.track(NEEDLE, "ann")
        world.answer(*[NEEDLE] * 20, "ann")
    return world


def test_no_file_below_the_home_holds_the_id(full: World) -> None:
    others = [f"{NEEDLE}/{turn}" for turn in range(4)]
    with neighbour_process(full):
        assert set(bytes_with(full.home, NEEDLE)) >= {"control.db-wal", "decisions.db-wal"}
        for user in (*others, NEEDLE):
            certificate = full.erase(user)
        assert bytes_with(full.home, NEEDLE) == {}
    assert not [line for line in certificate.out_of_reach if line.startswith(("control DB", "decision log"))]


def test_rows_that_an_earlier_version_deleted_leave_the_file(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as old:
        old.execute("PRAGMA secure_delete=OFF")
        old.execute("CREATE TABLE t (id TEXT)")
        old.executemany("INSERT INTO t VALUES (?)", [(NEEDLE,), ("ann",)] * 500)
        old.execute("DELETE FROM t WHERE id != 'ann'")
        old.commit()
    store = open_decisions(f"sqlite:///{file}")
    assert bytes_with(tmp_path, NEEDLE)
    assert remove_deleted_bytes(store.engine, "decision log", NEEDLE) == ()
    assert bytes_with(tmp_path, NEEDLE) == {}
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 500


def test_a_large_file_is_not_written_anew_and_the_certificate_says_so(
    full: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(full.home / "control.db")) as old:
        old.execute("PRAGMA secure_delete=OFF")
        old.execute("CREATE TABLE t (id TEXT)")
        old.executemany("INSERT INTO t VALUES (?)", [(NEEDLE,)] * 500)
        old.execute("DELETE FROM t")
        old.commit()
    monkeypatch.setattr(databases, "_SMALL_BYTES", 0)
    assert "control DB: unused space of control.db may hold the id" in full.erase(NEEDLE).out_of_reach[0]


def test_a_reader_that_does_not_let_go_is_told_in_the_certificate(full: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "TRY_SECONDS", 0.0)
    with closing(sqlite3.connect(full.home / "control.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        certificate = full.erase(NEEDLE)
        assert "control.db-wal, because another process reads from it" in certificate.out_of_reach[0]
        stored = get_erasure(full.db, full.tenant, certificate.erasure_id)
        assert (stored.status, stored.certificate) == ("completed", certificate.model_dump(mode="json"))


def test_a_kill_before_the_last_step_leaves_it_to_the_next_attempt(full: World) -> None:
    """Nothing names the user any more but the files of the databases."""
    asked = full.request(NEEDLE)
    full.decisions.erase_user(full.tenant, NEEDLE, until=NOW)
    certificate = certificate_of(asked, (), now=NOW, retrain=False, mentions=())
    noted = certificate.model_dump(mode="json")
    assert forget_user(full.db, asked, noted, uploads_until=0, retrain=False)
    left = get_erasure(full.db, full.tenant, asked.id)
    assert (left.status, left.user_id, left.completed_at) == ("pending", None, None)
    done = perform_erasure(full.lake, full.db, full.decisions, left, NOW, home=full.home)
    assert done == certificate
    assert get_erasure(full.db, full.tenant, asked.id).status == "completed"
    assert "control.db-wal" not in bytes_with(full.home, NEEDLE)


@pytest.mark.databases("postgresql")
def test_on_a_server_the_space_is_given_free_and_the_rest_is_named(world: World) -> None:
    world.track(ZOE, "ann")
    world.answer(ZOE, "ann")
    certificate = world.erase(ZOE)
    assert [each.partition(":")[0] for each in certificate.out_of_reach[:2]] == ["control DB", "decision log"]
    assert all("write-ahead log" in each and "backups" in each for each in certificate.out_of_reach[:2])
    assert world.places_with(ZOE) == []
    for engine, table in ((world.db.engine, "events"), (world.decisions.engine, "decisions")):
        with engine.connect() as connection:
            all_visible = "SELECT relallvisible = relpages AND relpages > 0 FROM pg_class WHERE relname = :table"
            assert connection.scalar(text(all_visible), {"table": table}), "no page holds a deleted row"


@pytest.mark.databases("postgresql")
def test_a_server_that_is_too_slow_to_clean_up_is_left_to_a_person(world: World, database_url: str) -> None:
    world.track(ZOE)
    with closing(open_control_db(database_url, migrate=False)) as impatient:
        event.listen(impatient.engine, "connect", lambda connection, _: _hurry(connection))
        left = remove_deleted_bytes(impatient.engine, "control DB", ZOE)
    assert left[-1].endswith("until somebody runs VACUUM")


def _hurry(connection: psycopg.Connection) -> None:
    connection.execute("SET statement_timeout = 1")
    connection.commit()
