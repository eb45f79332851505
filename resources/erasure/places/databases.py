"""What a database holds of deleted rows: in its write-ahead log, and in unused space of its pages."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError

from resources.base.ids import spelled
from resources.databases.opening import is_postgresql

TRY_SECONDS = 5.0
"""How long a reader is waited for that still needs the write-ahead log."""
_BUSY_SECONDS = 0.2
"""Others cannot write while a reader is waited for, so each try is short."""
_PAUSE_SECONDS = 0.1
_SMALL_BYTES = 64 * 1024**2
"""Up to this size a file is written anew in less than a second, in which nobody else can write."""
_CHUNK_BYTES = 4 * 1024**2


def remove_deleted_bytes(engine: Engine, name: str, user_id: str | None) -> tuple[str, ...]:
    """Remove what a database still holds of deleted rows, and return what could not be, for a person.

    On SQLite deleted rows are filled with zeros where they lie (`secure_delete`), but a copy may be left in the unused
    part of a page when a row was moved to another one. If the file holds the user's id, it is written anew. PostgreSQL
    is told to give the space of deleted rows free; it overwrites their bytes in its own time.

    Args:
        name: of the database, for a person.
        user_id: who was erased; None when it is not known any more.
    """
    if is_postgresql(engine):
        return _left_on_server(engine, name)
    if not engine.url.database or engine.url.database == ":memory:":
        return ()
    file = Path(engine.url.database)
    with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        if not _emptied_log(connection):
            return (f"{name}: {file.name}-wal, because another process reads from it; it is overwritten later",)
        if user_id is not None and not _holds(file, user_id):
            return ()
        if file.stat().st_size <= _SMALL_BYTES and _written_anew(connection):
            return ()
    return (f"{name}: unused space of {file.name} may hold the id, until somebody runs VACUUM on it",)


def _left_on_server(engine: Engine, name: str) -> tuple[str, ...]:
    """Give the space of deleted rows free, and return what only the server's administrator can reach."""
    left = f"{name}: bytes of deleted rows in PostgreSQL's write-ahead log, its archive, replicas and backups"
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            quote = connection.dialect.identifier_preparer.quote
            tables = ", ".join(map(quote, inspect(connection).get_table_names()))
            connection.execute(text(f"VACUUM (INDEX_CLEANUP ON, SKIP_LOCKED) {tables}"))
    except OperationalError:  # it took longer than a statement may
        return (left, f"{name}: deleted rows themselves, until somebody runs VACUUM")
    return (f"{left}, and in free space of its pages until they are overwritten",)


def _emptied_log(connection: sqlite3.Connection) -> bool:
    """Bring the write-ahead log into the file and cut it off; False when a reader does not let go of it."""
    until = time.monotonic() + TRY_SECONDS
    while True:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy or time.monotonic() >= until:
            return not busy
        time.sleep(_PAUSE_SECONDS)


def _written_anew(connection: sqlite3.Connection) -> bool:
    """False when somebody writes all the time, or the disk has no room for a second copy."""
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError:
        return False
    return _emptied_log(connection)


def _holds(file: Path, user_id: str) -> bool:
    """Whether the bytes of the id are in the file; also those of another row that has them."""
    forms = {form for each in spelled(user_id) for form in (each.encode(), json.dumps(each)[1:-1].encode())}
    overlap = max(map(len, forms)) - 1
    before = b""
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            seen = before + chunk
            if any(form in seen for form in forms):
                return True
            before = seen[-overlap:] if overlap else b""
    return False
