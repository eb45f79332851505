"""A control DB of its own for every test that asks for one, with two shops in it: on SQLite, or on both kinds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant
from resources.databases.opening import POSTGRESQL, SQLITE
from tests.postgresql.server import PostgresServer

BLUE, GREEN = TenantId("blue"), TenantId("green")

_MARKS = {SQLITE: (), POSTGRESQL: (pytest.mark.postgresql,)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with the mark `databases` run on both kinds, or on those that the mark names."""
    marked = metafunc.definition.get_closest_marker("databases")
    if "database" in metafunc.fixturenames and marked is not None:
        kinds = [pytest.param(kind, marks=_MARKS[kind]) for kind in marked.args or (SQLITE, POSTGRESQL)]
        metafunc.parametrize("database", kinds, indirect=True)


@pytest.fixture
def now() -> datetime:
    return datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty control DB to copy: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("control") / "control.db"
    open_control_db(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def migrated_on_postgresql(postgres_server: PostgresServer) -> str:
    """The name of an empty control DB on the server, to copy."""
    name = postgres_server.database(prefix="migrated")
    open_control_db(postgres_server.url(name)).close()
    return name


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The kind of the databases of this test; one with the mark `databases` runs once for each kind."""
    return str(getattr(request, "param", SQLITE))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty control DB of this test alone."""
    if database == SQLITE:
        shutil.copy(request.getfixturevalue("migrated"), tmp_path / "control.db")
        yield f"sqlite:///{tmp_path}/control.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.database(request.getfixturevalue("migrated_on_postgresql"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def new_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of this test alone in which nothing is, for a decision log or for migrations."""
    if database == SQLITE:
        yield f"sqlite:///{tmp_path}/new/new.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.database()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def db(database_url: str) -> Iterator[ControlDb]:
    db = open_control_db(database_url)
    yield db
    db.close()


@pytest.fixture
def shops(db: ControlDb, now: datetime) -> tuple[TenantId, TenantId]:
    for tenant in (BLUE, GREEN):
        create_tenant(db, tenant, name=tenant.value.title(), now=now)
    return BLUE, GREEN
