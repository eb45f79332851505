"""Engines of PostgreSQL databases, with a limit on everything that may be waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from resources.base.errors import ConfigurationError

APPLICATION = "recsaas"
"""Name of our connections in `pg_stat_activity`."""
DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 5
"""How long the server is waited for when a connection is made."""
STATEMENT_FACTOR = 5
"""A statement may take so many times what a lock is waited for."""
GRACE_SECONDS = 1.0
"""How much later than the server, which may hang, a connection gives a statement up by itself."""
MOST_CONNECTIONS = 16
"""Connections of one process, where the URL says nothing else."""
CONNECTIONS = "connections"
"""The part of the URL that says something else: `postgresql://…/recsaas?connections=8`."""
_KEPT_SECONDS = 1800
# A machine that is gone without a word must not keep its locks for the two hours that a server waits by itself.
_SERVER = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
_CLIENT = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}


class NoAnswer(psycopg.OperationalError):
    """The server takes connections and answers nothing; a new one would be no better."""


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that gives up when the server does not answer: a thread that waits for ever is lost to all others.

    `answer_seconds` is the longest wait for an answer; None: without end, as for a lock.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer.

        Raises:
            NoAnswer: there was none in time; the connection is broken.
        """
        return super().wait(gen if self.answer_seconds is None else self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: PQGen[Any]) -> PQGen[Any]:
        assert self.answer_seconds is not None
        until = time.monotonic() + self.answer_seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted  # psycopg looks in ten times a second, also when nothing is ready
                if not ready and time.monotonic() > until:
                    self.pgconn.finish()
                    raise NoAnswer(f"the server has not answered for {self.answer_seconds:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def postgresql_engine(url: URL, *, busy_seconds: float, server_settings: Mapping[str, str]) -> Engine:
    """Return an engine of the database that `url` names.

    A transaction writes unless it says otherwise; one that is left open is ended by the server, as its locks would keep
    others waiting for ever. Times are in UTC. A connection that the server has closed is noticed before it is used.

    Args:
        url: `postgresql://…` or `postgres://…`; its part `connections` is the most of one process.
        busy_seconds: how long a statement waits for a lock, and a thread for a connection.
        server_settings: more settings of every connection.

    Raises:
        ConfigurationError: the number of connections is none.
        ModuleNotFoundError: the driver is not installed.
    """
    most, url = _most_connections(url)
    engine = create_engine(
        url.set(drivername=DRIVER),
        connect_args=_connecting(busy_seconds, server_settings),
        use_native_hstore=False,  # which every new connection would ask the server about
        pool_pre_ping=True,
        pool_size=most,
        max_overflow=0,
        pool_timeout=busy_seconds,
        pool_recycle=_KEPT_SECONDS,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, cargs: Any, cparams: Any) -> LimitedConnection:
        connection = LimitedConnection.connect(*cargs, **cparams)
        connection.answer_seconds = busy_seconds * STATEMENT_FACTOR + GRACE_SECONDS
        return connection

    return engine


def most_connections(engine: Engine) -> int:
    """How many connections a process has to the database at most."""
    return cast(QueuePool, engine.pool).size()


def plain_connection(engine: Engine, *, answer_seconds: float) -> LimitedConnection:
    """Return a new connection that is no pool's and goes past SQLAlchemy; each statement is its own transaction.

    Raises:
        psycopg.OperationalError: the server does not answer.
    """
    arguments, options = engine.dialect.create_connect_args(engine.url)
    limits = _connecting(answer_seconds / STATEMENT_FACTOR, {})
    connection = LimitedConnection.connect(*arguments, **{**options, **limits}, autocommit=True)
    connection.answer_seconds = answer_seconds + GRACE_SECONDS
    return connection


def _connecting(busy_seconds: float, server_settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "application_name": APPLICATION,
        "client_encoding": "utf8",
        "connect_timeout": CONNECT_SECONDS,
        "options": _options(busy_seconds, server_settings),
        **_CLIENT,
    }


def _options(busy_seconds: float, more: Mapping[str, str]) -> str:
    # 0 would be without end.
    lock, statement = (max(round(seconds * 1000), 1) for seconds in (busy_seconds, busy_seconds * STATEMENT_FACTOR))
    settings = {
        "TimeZone": "UTC",
        "lock_timeout": f"{lock}ms",
        "statement_timeout": f"{statement}ms",
        "idle_in_transaction_session_timeout": f"{statement}ms",
        **_SERVER,
        **more,
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _most_connections(url: URL) -> tuple[int, URL]:
    found = url.query.get(CONNECTIONS, str(MOST_CONNECTIONS))
    if not isinstance(found, str) or not found.isdecimal() or int(found) < 1:
        raise ConfigurationError(f"{CONNECTIONS}={found!r} in the address of a database has to be a number from 1 on.")
    return int(found), url.difference_update_query([CONNECTIONS])
