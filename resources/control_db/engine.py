"""Opening the control DB: SQLite by default, PostgreSQL where its URL names one; migrated to the newest revision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from resources.base.errors import ConfigurationError
from resources.databases.locks import long_turn
from resources.databases.opening import Opening, is_postgresql, open_engine
from resources.databases.sqlite import WRITE
from resources.storage.file_lock import file_lock

SETTING = "RECSAAS_DATABASE"
PATIENT_SECONDS = 30.0
"""How long a command or a run waits for what another one is writing."""
SERVICE_SECONDS = 2.0
"""How long the service does: whoever asked it is better told to try again than kept waiting."""
_PRAGMAS = {
    "synchronous": "FULL",  # an acknowledged event survives a power cut
    "foreign_keys": "ON",
    "secure_delete": "ON",  # an erased user's bytes do not stay in unused space of the file
}
# More than a process has threads that use it: those who wait for the write lock keep no reader waiting.
_POOL = (16, 48)
_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


@dataclass(frozen=True, slots=True)
class ControlDb:
    """The database both programs share: tenants, keys, uploads, events, runs."""

    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads: it sees the database as it was when it began, on PostgreSQL as on SQLite."""
        engine = self.engine.execution_options(**_READ) if is_postgresql(self.engine) else self.engine
        with Session(engine, expire_on_commit=False) as session, session.begin():
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

    `busy_seconds`: how long a writer waits for the write lock of SQLite, or for a row of PostgreSQL.

    Raises:
        ConfigurationError: the URL is not one of SQLite or PostgreSQL, the driver is not installed, the folder of its
            file cannot be made, or a newer version of recsaas has migrated the database.
    """
    engine = open_engine(url, Opening(SETTING, busy_seconds, pragmas=_PRAGMAS, sqlite_pool=_POOL))
    with ExitStack() as opened:
        opened.callback(engine.dispose)
        if migrate:
            _migrate(engine)
        opened.pop_all()  # it went well, so it stays open
    return ControlDb(engine=engine)


def revision_of(engine: Engine) -> tuple[str | None, str | None]:
    """The revision that the database has, None where it has no tables yet, and the newest that this code knows."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), _newest_revision()


def is_known_revision(revision: str) -> bool:
    """Whether this code knows the tables of a revision: those of its own past and present."""
    return revision in {each.revision for each in _scripts().walk_revisions()}


def _migrate(engine: Engine) -> None:
    """Run Alembic if there is anything to do; processes that start together take turns."""
    revision, newest = revision_of(engine)
    if revision == newest:
        return  # every tick of a sensor opens the DB anew, and Alembic takes fifty times as long to find this out
    if revision is not None and not is_known_revision(revision):
        raise ConfigurationError(
            f"The control DB is of a newer version of recsaas (its revision {revision} is unknown here). Install that "
            "version, or open a copy of the database from before the upgrade."
        )
    config = _config()
    with _turn_on_this_machine(engine), long_turn(engine, "migrate the control DB") as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _turn_on_this_machine(engine: Engine) -> AbstractContextManager[None]:
    file = engine.url.database
    if is_postgresql(engine) or not file or file == ":memory:":
        return nullcontext()
    return file_lock(Path(f"{file}.migrate.lock"))


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
