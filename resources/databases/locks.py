"""Locks that the processes of all machines respect which use one PostgreSQL database. They take the place of nothing on
SQLite, where one machine has the database, and the locks of its files are enough.

A lock belongs to a connection: the server frees it when its holder dies, and within a minute of a machine that is gone
without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from resources.databases.opening import is_postgresql
from resources.databases.postgresql import LimitedConnection

LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code for a lock that was waited for in vain (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


class LockTimeout(Exception):
    """Somebody else holds the lock, and did not let go in time."""


class DatabaseLock:
    """A lock of this name among all who use the database; on SQLite, nothing. Belongs to one thread.

    It has a connection of its own for as long as it is held, beside those of the pool.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._number = lock_number(name)
        self._held: Connection | None = None

    def take(self, *, wait_seconds: float | None = None, on_wait: Callable[[], None] | None = None) -> None:
        """Take the lock.

        Args:
            wait_seconds: how long to wait for it; None: for as long as it takes.
            on_wait: called once when there is something to wait for.

        Raises:
            LockTimeout: it was not free in time.
            OperationalError: the database does not answer.
        """
        if not is_postgresql(self._engine):
            return
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        with ExitStack() as opened:
            opened.callback(connection.close)
            _take(connection, self._number, wait_seconds, on_wait)
            opened.pop_all()  # taken, so it stays open
        self._held = connection

    def keep(self) -> None:
        """Make sure that the lock is still ours. Where the server has ended the connection, it is taken once more.

        Raises:
            LockTimeout: somebody else has it by now.
            OperationalError: the database does not answer.
        """
        if self._held is None:
            return
        try:
            self._held.execute(text("SELECT 1"))
        except DBAPIError:
            self.release()
            self.take(wait_seconds=0)

    def release(self) -> None:
        """Let the lock go: it is free when this returns.

        The end of its connection would free it as well, but only when the server comes to know of that.
        """
        held, self._held = self._held, None
        if held is None:
            return
        try:
            if not held.invalidated:
                held.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": self._number})
        except DBAPIError:
            pass  # the server has ended the connection, and the lock with it
        finally:
            held.close()


@contextmanager
def database_lock(engine: Engine, name: str) -> Iterator[None]:
    """Hold the lock of this name among all who use the database; wait for as long as it takes.

    Raises:
        OperationalError: the database does not answer.
    """
    lock = DatabaseLock(engine, name)
    lock.take()
    try:
        yield
    finally:
        lock.release()


def wait_for_turn(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Within a transaction on PostgreSQL: wait until nobody else is in one of this name; SQLite has one writer anyway.

    Those who share it keep out only who wants it alone.

    Raises:
        OperationalError: it was not free in time.
    """
    if is_postgresql(connection):
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(text(f"SELECT {function}(:number)"), {"number": lock_number(name)})


@contextmanager
def long_turn(engine: Engine, name: str) -> Iterator[Connection]:
    """A transaction in which nobody else is of this name, and that may take as long as it needs, as migrations do."""
    with engine.connect() as connection:
        if is_postgresql(engine):
            connection.detach()
        with connection.begin():
            if is_postgresql(engine):
                _wait_for_ever(connection, "true")
            wait_for_turn(connection, name)
            yield connection


def lock_number(name: str) -> int:
    """The number by which PostgreSQL knows the lock of this name: 64 bits of its SHA-256, signed."""
    return int.from_bytes(hashlib.sha256(f"recsaas\0{name}".encode()).digest()[:8], "big", signed=True)


def _take(connection: Connection, number: int, wait_seconds: float | None, on_wait: Callable[[], None] | None) -> None:
    which: dict[str, Any] = {"number": number}
    if connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), which):
        return
    if wait_seconds is not None and wait_seconds <= 0:
        raise LockTimeout
    if on_wait is not None:
        on_wait()
    _wait_for_ever(connection, "false")
    if wait_seconds is not None:
        wait = {"wait": f"{max(round(wait_seconds * 1000), 1)}ms"}  # 0 would be without end
        connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), wait)
    try:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), which)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise LockTimeout from error
        raise


def _wait_for_ever(connection: Connection, local: str) -> None:
    """Take the limits off a connection that goes into no pool; `local`: for this transaction."""
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    connection.execute(text("SELECT " + ", ".join(f"set_config('{limit}', '0', {local})" for limit in limits)))
    limited = connection.connection.dbapi_connection
    assert isinstance(limited, LimitedConnection)
    limited.answer_seconds = None
