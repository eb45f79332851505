"""Reads for every answer from the control DB: what a user or a visit did since the release, and whether items or rules
have changed.

It is one statement, and it goes past SQLAlchemy, by plain connections, in a third of the time and less: `recsaas bench
live-reads` has the figures. On SQLite that takes microseconds; PostgreSQL is read in a thread (`blocking`).
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from threading import Lock
from typing import Any, NamedTuple, Protocol

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, OperationalError

from resources.base.errors import ConfigurationError
from resources.base.tenant import TenantId
from resources.base.times import in_utc
from resources.control_db.engine import ControlDb
from resources.databases.opening import is_postgresql
from resources.databases.postgresql import LimitedConnection, NoAnswer, plain_connection
from resources.events.log import IMPRESSION
from resources.tenants.settings import TYPES_WITH_PIECES

LIMIT = 1000
"""The newest events that an answer looks at."""
_BUSY_SECONDS = 1.0
"""How long an answer waits for them."""
_VERSION = "SELECT version, NULL, NULL, NULL, NULL FROM tenant_versions WHERE tenant_id = :tenant"
_WANTED = "item_id IS NOT NULL AND interaction_type != :impression ORDER BY seq DESC LIMIT :most"
_USER = f"""
{_VERSION} UNION ALL SELECT * FROM (
  SELECT seq, item_id, interaction_type, "timestamp", quantity FROM events
  WHERE tenant_id = :tenant AND user_id = :user AND seq > :after AND {_WANTED}
) AS newest
"""
# Two searches by an index each; one with OR would read all events of the tenant.
_VISITOR = f"""
{_VERSION} UNION ALL SELECT * FROM (
  SELECT seq, item_id, interaction_type, "timestamp", quantity FROM events
  WHERE seq IN (
    SELECT seq FROM events
    WHERE tenant_id = :tenant AND session_id = :session
    AND (seq > :after OR CAST(:user AS VARCHAR) IS NULL OR user_id != :user)
    UNION SELECT seq FROM events WHERE tenant_id = :tenant AND user_id = :user AND seq > :after
  ) AND {_WANTED}
) AS newest
"""
_USER_ON_SERVER, _VISITOR_ON_SERVER = (
    re.sub(r":(\w+)", r"%(\1)s", statement).encode() for statement in (_USER, _VISITOR)
)


class RecentInteractions(NamedTuple):
    """Interactions in the order of acknowledgement, less those of which every piece came back.

    Attributes:
        newest: sequence of the last one, 0 without any.
        until: when the newest by its own time happened.
    """

    newest: int
    items: tuple[str, ...]
    types: tuple[str, ...]
    until: datetime | None = None


NO_INTERACTIONS = RecentInteractions(0, (), ())


class Latest(NamedTuple):
    """The newest state for one answer: `state_version` grows with every change of the tenant's items and rules."""

    state_version: int
    interactions: RecentInteractions


class RecentEvents(Protocol):
    """Reads of the newest; safe to share between threads. Impressions are left out."""

    blocking: bool
    """Whether a read may wait for a network, so that it must not run on the event loop."""

    def of_user(self, tenant: TenantId, user_id: str | None, *, after: int = 0) -> Latest:
        """Return the user's newest interactions with a sequence above `after`; nobody has none."""

    def of_visitor(self, tenant: TenantId, user_id: str | None, session_id: str, *, after: int = 0) -> Latest:
        """Return the newest interactions of a visit, and of its user if there is one: of the user's own those above
        `after`, of the visit also what happened before it had this user."""

    def close(self) -> None:
        """Give back the connections."""


def open_recent_events(db: ControlDb) -> RecentEvents:
    """Return the quickest reader that the database allows."""
    if is_postgresql(db.engine):
        return PostgresRecentEvents(db.engine)
    file = db.engine.url.database
    if not file or file == ":memory:":
        raise ConfigurationError("RECSAAS_DATABASE is a database in memory, which no second connection can read.")
    return SqliteRecentEvents(file)


class SqliteRecentEvents:
    """Reads of a SQLite file by one connection of its own, which threads take in turn: a read takes microseconds.

    In WAL mode a reader waits for no writer. Every statement is read to its end at once, so that no snapshot is held.
    """

    blocking = False

    def __init__(self, file: str) -> None:
        self._file = file
        self._lock = Lock()
        self._opened: sqlite3.Connection | None = None

    def of_user(self, tenant: TenantId, user_id: str | None, *, after: int = 0) -> Latest:
        """Return the user's newest interactions."""
        return self._latest(_USER, _values(tenant, user=user_id, after=after))

    def of_visitor(self, tenant: TenantId, user_id: str | None, session_id: str, *, after: int = 0) -> Latest:
        """Return the newest interactions of a visit and its user."""
        return self._latest(_VISITOR, _values(tenant, user=user_id, session=session_id, after=after))

    def close(self) -> None:
        """Close the connection; the next read opens another one."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _latest(self, statement: str, values: dict[str, Any]) -> Latest:
        with self._lock:
            if self._opened is None:
                # Autocommit: a statement is its own transaction, and the next one sees what was committed meanwhile.
                self._opened = sqlite3.connect(
                    self._file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._opened.execute("PRAGMA query_only=ON")
            return _latest(self._opened.execute(statement, values).fetchall())


class PostgresRecentEvents:
    """Reads of PostgreSQL by connections of their own, as many as threads read at a time.

    A writer that waits for its turn has none of them, and a server that does not answer is given up in a second.
    """

    blocking = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[LimitedConnection] = []  # appending and popping are safe between threads

    def of_user(self, tenant: TenantId, user_id: str | None, *, after: int = 0) -> Latest:
        """Return the user's newest interactions."""
        return self._latest(_USER_ON_SERVER, _values(tenant, user=user_id, after=after))

    def of_visitor(self, tenant: TenantId, user_id: str | None, session_id: str, *, after: int = 0) -> Latest:
        """Return the newest interactions of a visit and its user."""
        return self._latest(_VISITOR_ON_SERVER, _values(tenant, user=user_id, session=session_id, after=after))

    def close(self) -> None:
        """Close the connections; the next read opens another one."""
        while self._idle:
            self._idle.pop().close()

    def _latest(self, statement: bytes, values: dict[str, Any]) -> Latest:
        try:
            rows = self._rows(statement, values)
        except psycopg.Error as error:
            kind = DataError if isinstance(error, psycopg.DataError) else OperationalError
            raise kind("reading the newest events", None, error) from error
        return _latest(rows)

    def _rows(self, statement: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        while self._idle:
            kept = self._idle.pop()
            try:
                return self._read(kept, statement, values)
            except psycopg.OperationalError as error:
                if isinstance(error, NoAnswer) or not kept.broken:
                    raise
                # The server was started again, and has ended every connection that is kept here.
        return self._read(plain_connection(self._engine, answer_seconds=_BUSY_SECONDS), statement, values)

    def _read(self, connection: LimitedConnection, statement: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            if not connection.broken:
                self._idle.append(connection)


def _values(tenant: TenantId, **more: str | int | None) -> dict[str, Any]:
    return {"tenant": tenant.value, "impression": IMPRESSION, "most": LIMIT, **more}


def _latest(rows: Iterable[tuple[Any, ...]]) -> Latest:
    """Read the rows of a statement: one without an item is the version, the others come newest first."""
    version, events = 0, []
    for row in rows:
        if row[1] is None:
            version = row[0]
        else:
            events.append(row)
    if not events:
        return Latest(version, NO_INTERACTIONS)
    newest, until = max(event[0] for event in events), _utc(max(event[3] for event in events))
    kept = _kept(events) if any(event[4] is not None and event[4] <= 0 for event in events) else events
    kept.sort(key=itemgetter(0))
    items, types = tuple(event[1] for event in kept), tuple(event[2] for event in kept)
    return Latest(version, RecentInteractions(newest, items, types, until))


def _kept(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The events without those that take pieces back, and without what they take back as a whole."""
    pieces: Counter[tuple[str, str]] = Counter()
    for _, item, kind, _, quantity in events:
        if kind in TYPES_WITH_PIECES:
            pieces[item, kind] += 1 if quantity is None else quantity
    return [
        event
        for event in events
        if event[2] not in TYPES_WITH_PIECES or (pieces[event[1], event[2]] > 0 and (event[4] is None or event[4] > 0))
    ]


def _utc(time: str | datetime) -> datetime:
    """Read a time of the database: SQLite keeps text, in UTC and without saying so."""
    found = datetime.fromisoformat(time) if isinstance(time, str) else time
    return in_utc(found)
