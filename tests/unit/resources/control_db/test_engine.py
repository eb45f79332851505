"""Opening and migrating the control DB."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

import resources.control_db.engine as engine_module
from resources.base.errors import ConfigurationError
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.metadata import METADATA
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import create_tenant, list_tenants
from tests.unit.conftest import BLUE

pytestmark = pytest.mark.databases

_OPENER = """
import sys
from datetime import UTC, datetime
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.base.tenant import TenantId

sys.stdin.readline()
db = open_control_db(sys.argv[1])
create_tenant(db, TenantId(sys.argv[2]), name="x", now=datetime.now(UTC))
"""


def test_an_empty_database_gets_every_table(db: ControlDb) -> None:
    tables = set(inspect(db.engine).get_table_names())
    assert tables == {*METADATA.tables, "alembic_version"}


def test_the_migrations_lead_to_the_tables_that_the_code_expects(db: ControlDb) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, METADATA) == []


def test_there_is_one_newest_revision_and_the_database_has_it(db: ControlDb) -> None:
    folder = Path(engine_module.__file__).with_name("migrations")
    head = ScriptDirectory(str(folder)).get_current_head()  # raises when there are two
    with db.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == head


def test_opening_again_keeps_what_is_stored(database_url: str, db: ControlDb, shops: object) -> None:
    again = open_control_db(database_url)
    assert [str(tenant.id) for tenant in list_tenants(again)] == ["blue", "green"]
    again.close()


@pytest.mark.e2e
def test_processes_that_open_a_new_database_at_once_all_succeed(new_url: str) -> None:
    names = [f"t{n}" for n in range(4)]
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPENER, new_url, name], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in names
    ]
    errors = [process.communicate(b"\n", timeout=60)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    db = open_control_db(new_url)
    assert [str(tenant.id) for tenant in list_tenants(db)] == names
    db.close()


@pytest.mark.databases("sqlite")
def test_sqlite_is_set_up_so_that_nothing_acknowledged_is_lost(db: ControlDb) -> None:
    with db.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_an_error_rolls_back(db: ControlDb, shops: tuple[TenantId, TenantId]) -> None:
    with pytest.raises(RuntimeError, match="boom"), db.write() as session:
        row = session.get(TenantRow, "blue")
        assert row is not None
        row.name = "changed"
        session.flush()
        raise RuntimeError("boom")
    with db.read() as session:
        assert session.scalar(select(TenantRow.name).where(TenantRow.id == "blue")) == "Blue"


def test_a_database_in_memory() -> None:
    db = open_control_db("sqlite://")
    assert list_tenants(db) == ()
    db.close()


@pytest.mark.parametrize("url", ["", "nonsense", "var/control.db", "nosuchdb://host/x", "sqlite+nosuch:///x"])
def test_a_bad_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_DATABASE"):
        open_control_db(url)


def test_another_kind_of_database_is_refused_and_the_two_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"RECSAAS_DATABASE names .* mysql.*SQLite.*PostgreSQL"):
        open_control_db("mysql://host/x")


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_url: str, db: ControlDb) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="revision 9999"):
        open_control_db(database_url)
    with db.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_file_in_the_way_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigurationError, match="RECSAAS_DATABASE"):
        open_control_db(f"sqlite:///{tmp_path}/file/control.db")


def test_without_migration_nothing_is_made(new_url: str) -> None:
    db = open_control_db(new_url, migrate=False)
    assert inspect(db.engine).get_table_names() == []
    db.close()


def test_a_url_with_blanks_and_unicode_in_the_path(tmp_path: Path, now: datetime) -> None:
    db = open_control_db(f"sqlite:///{tmp_path}/mein läden/control.db")
    create_tenant(db, BLUE, name="日本", now=now)
    db.close()
    assert (tmp_path / "mein läden" / "control.db").exists()
