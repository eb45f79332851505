"""Engines of SQLite files that several processes write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from resources.storage.file_lock import file_lock

WRITE = {"recsaas_begin": "BEGIN IMMEDIATE"}
"""Execution options of a transaction that takes the write lock at once.

A reader that turns into a writer would fail, without waiting, as soon as somebody else has written in between.
"""


def sqlite_engine(url: str, *, busy_seconds: float, pragmas: dict[str, str], **options: Any) -> Engine:
    """Return an engine of the file that `url` names, in WAL mode, with `pragmas` for every connection.

    The folder of the file is made where it is missing. `busy_seconds`: how long a writer waits for the write lock.
    `options` go to `create_engine`.

    Raises:
        OSError: the folder cannot be made.
    """
    file = _file(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False}, **options)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy shall say BEGIN itself (see _begin)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={round(busy_seconds * 1000)}")
        if file is not None:
            _use_wal(cursor, file)
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("recsaas_begin", "BEGIN"))

    return engine


def _file(url: str) -> Path | None:
    database = make_url(url).database
    return Path(database) if database and database != ":memory:" else None


def _use_wal(cursor: Any, file: Path) -> None:
    """Turn on WAL, once in the life of the file; processes that open a new one together take turns.

    SQLite does not wait where two connections turn it on at once: one of them fails with "database is locked" whatever
    its busy timeout (https://www.sqlite.org/rescode.html#busy, "deadlock").
    """
    if _mode(cursor) == "wal":
        return
    with file_lock(file.with_name(f"{file.name}.wal.lock")):
        cursor.execute("PRAGMA journal_mode=WAL")


def _mode(cursor: Any) -> str:
    (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
    return str(mode)
