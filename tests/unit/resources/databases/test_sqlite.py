"""SQLite files that are opened by several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from sqlalchemy import text

from resources.databases.sqlite import WRITE, sqlite_engine

OPENERS = 6


def test_those_who_open_a_new_file_together_all_can(tmp_path: Path) -> None:
    start = Barrier(OPENERS)

    def written(url: str) -> str:
        start.wait()
        engine = sqlite_engine(url, busy_seconds=30, pragmas={"synchronous": "NORMAL"})
        with engine.execution_options(**WRITE).begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (x INTEGER)"))
            mode = str(connection.scalar(text("PRAGMA journal_mode")))
        engine.dispose()
        return mode

    with ThreadPoolExecutor(OPENERS) as pool:
        for number in range(40):
            url = f"sqlite:///{tmp_path / 'new' / str(number)}.db"
            assert list(pool.map(written, [url] * OPENERS)) == ["wal"] * OPENERS


def test_pragmas_hold_for_every_connection(tmp_path: Path) -> None:
    engine = sqlite_engine(f"sqlite:///{tmp_path / 'a.db'}", busy_seconds=1.5, pragmas={"foreign_keys": "ON"})
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
            assert connection.scalar(text("PRAGMA busy_timeout")) == 1500
    engine.dispose()


def test_a_database_in_memory_needs_no_file(tmp_path: Path) -> None:
    engine = sqlite_engine("sqlite://", busy_seconds=1, pragmas={})
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    assert list(tmp_path.iterdir()) == []
