"""Opening the control DB: SQLite by default, any SQLAlchemy URL otherwise; migrated to the newest revision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from resources.base.errors import ConfigurationError
from resources.storage.file_lock import file_lock

PATIENT_SECONDS = 30.0
"""How long a command or a run waits for the write lock of SQLite."""
SERVICE_SECONDS = 2.0
"""How long the service does: whoever asked it is better told to try again than kept waiting."""


@dataclass(frozen=True, slots=True)
class ControlDb:
    """The database both programs share: tenants, keys, uploads, events, runs."""

    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write: commits at the end, rolls back when an error passes.

        On SQLite it takes the write lock at once: a reader that turns into a writer would fail, without waiting,
        as soon as somebody else has written in between.
        """
        engine = self.engine.execution_options(recsaas_begin="BEGIN IMMEDIATE")
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_control_db(url: str, *, migrate: bool = True, busy_seconds: float = PATIENT_SECONDS) -> ControlDb:
    """Connect to `url` and, unless told otherwise, bring the schema to the newest revision.

    `busy_seconds`: how long a writer waits for the write lock of SQLite.

    Raises:
        ConfigurationError: the URL is not one SQLAlchemy understands, its driver is not installed, the folder of its
            file cannot be made, or a newer version of recsaas has migrated the database.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            engine = _sqlite_engine(url, parsed.database, busy_seconds)
        else:
            engine = create_engine(url, pool_pre_ping=True)
    except ArgumentError as error:
        raise ConfigurationError(f"RECSAAS_DATABASE is not a database URL: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"RECSAAS_DATABASE needs a driver that is not installed: {error.name}.") from error
    except OSError as error:
        raise ConfigurationError(f"RECSAAS_DATABASE: cannot make its folder: {error}. Choose another one.") from error
    if migrate:
        _migrate(engine, parsed.database if parsed.get_backend_name() == "sqlite" else None)
    return ControlDb(engine=engine)


def _sqlite_engine(url: str, database: str | None, busy_seconds: float) -> Engine:
    pool: dict[str, Any] = {}
    if database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
        # More than a process has threads that use it: those who wait for the write lock keep no reader waiting.
        pool = {"pool_size": 16, "max_overflow": 48, "pool_timeout": busy_seconds}
    engine = create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False}, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # SQLAlchemy shall say BEGIN itself, so that a writer takes its lock at once (see _begin).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged event survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # an erased user's bytes do not stay in unused space of the file
        cursor.execute(f"PRAGMA busy_timeout={round(busy_seconds * 1000)}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("recsaas_begin", "BEGIN"))

    return engine


def _migrate(engine: Engine, sqlite_file: str | None) -> None:
    """Run Alembic if there is anything to do; processes that start together take turns."""
    config = _config()
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision == _newest_revision():
        return  # every tick of a sensor opens the DB anew, and Alembic takes fifty times as long to find this out
    if revision is not None and revision not in {each.revision for each in _scripts().walk_revisions()}:
        raise ConfigurationError(
            f"The control DB is of a newer version of recsaas (its revision {revision} is unknown here). Install that "
            "version, or open a copy of the database from before the upgrade."
        )
    if sqlite_file is None or sqlite_file == ":memory:":
        _upgrade(engine, config)
        return
    with file_lock(Path(f"{sqlite_file}.migrate.lock")):
        _upgrade(engine, config)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _newest_revision() -> str | None:
    """The newest revision that this code knows; its files do not change while it runs."""
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _upgrade(engine: Engine, config: Config) -> None:
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
