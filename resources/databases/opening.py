"""One way to open a database, whichever kind its URL names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from resources.base.errors import ConfigurationError
from resources.databases.postgresql import postgresql_engine
from resources.databases.sqlite import sqlite_engine

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_KINDS = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}


@dataclass(frozen=True, slots=True)
class Opening:
    """How a database is opened.

    Attributes:
        setting: the variable that names the database, for messages.
        busy_seconds: how long a writer waits for a lock, and a thread for a connection.
        pragmas: of SQLite.
        server_settings: of every connection to PostgreSQL.
        sqlite_pool: connections that a process keeps to a file of SQLite, and how many more it may open; without it
            those that SQLAlchemy chooses.
    """

    setting: str
    busy_seconds: float
    pragmas: Mapping[str, str] = field(default_factory=dict)
    server_settings: Mapping[str, str] = field(default_factory=dict)
    sqlite_pool: tuple[int, int] | None = None


def open_engine(url: str, opening: Opening) -> Engine:
    """Return an engine of the database that `url` names; nothing connects before it is used.

    Raises:
        ConfigurationError: the URL is not one, names a database that recsaas does not work on, the driver is not
            installed, or the folder of a file cannot be made.
    """
    setting = opening.setting
    try:
        parsed = make_url(url)
        kind = kind_of(parsed)
        if kind == SQLITE:
            return _sqlite(url, parsed, opening)
        if kind == POSTGRESQL:
            return postgresql_engine(parsed, busy_seconds=opening.busy_seconds, server_settings=opening.server_settings)
    except ArgumentError as error:
        raise ConfigurationError(f"{setting} is not a database URL: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{setting} needs a driver that is not installed: {error.name}.") from error
    except OSError as error:
        raise ConfigurationError(f"{setting}: cannot make its folder: {error}. Choose another one.") from error
    raise ConfigurationError(
        f"{setting} names a database of the kind {parsed.drivername}. recsaas works on SQLite and on PostgreSQL: "
        "postgresql://user:password@host/recsaas."
    )


def kind_of(url: URL) -> str | None:
    """Return `SQLITE` or `POSTGRESQL`; None when it is another database."""
    return _KINDS.get(url.drivername.split("+")[0])


def url_of(engine: Engine) -> str:
    """Return a URL that opens the same database, with the password in it: for another process of ours alone."""
    return engine.url.render_as_string(hide_password=False)


def is_postgresql(engine: Engine | Connection) -> bool:
    """Whether the database is a server that several machines may use, with many writers at a time."""
    return engine.dialect.name == POSTGRESQL


def _sqlite(url: str, parsed: URL, opening: Opening) -> Engine:
    pool = {}
    if opening.sqlite_pool is not None and parsed.database and parsed.database != ":memory:":
        size, more = opening.sqlite_pool
        pool = {"pool_size": size, "max_overflow": more, "pool_timeout": opening.busy_seconds}
    return sqlite_engine(url, busy_seconds=opening.busy_seconds, pragmas=dict(opening.pragmas), **pool)
