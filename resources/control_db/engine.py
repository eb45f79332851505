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
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from resources.base.errors import ConfigurationError
from resources.databases.sqlite import WRITE, sqlite_engine
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
        """A transaction that may write: commits at the end, rolls back when an error passes."""
        with Session(self.engine.execution_options(**WRITE), expire_on_commit=False) as session, session.begin():
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
        # More than a process has threads that use it: those who wait for the write lock keep no reader waiting.
        pool = {"pool_size": 16, "max_overflow": 48, "pool_timeout": busy_seconds}
    pragmas = {
        "synchronous": "FULL",  # an acknowledged event survives a power cut
        "foreign_keys": "ON",
        "secure_delete": "ON",  # an erased user's bytes do not stay in unused space of the file
    }
    return sqlite_engine(url, busy_seconds=busy_seconds, pragmas=pragmas, **pool)


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
