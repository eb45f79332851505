"""Databases that an earlier version has filled."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, inspect, text

import resources.control_db.engine as engine_module
from resources.base.tenant import TenantId
from resources.control_db.api_keys import list_api_keys
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.items import ItemEdit, append_item_changes, list_item_changes
from resources.control_db.metadata import METADATA
from resources.control_db.tenants import list_tenants
from resources.control_db.uploads import counting_uploads
from resources.events.log import Event, EventLog
from resources.training.runs import find_run, newest_failed_under_other_code, note_end

pytestmark = pytest.mark.databases

_FIRST = """
INSERT INTO tenants VALUES ('blue', 'Bläu 日本', 'active', '{}', '2024-06-01 12:00:00.000000');
INSERT INTO tenants VALUES ('green', 'Green', 'suspended', '{}', '2024-06-01 12:00:00.000000');
INSERT INTO api_keys VALUES
  ('k1', 'blue', 'shop', 'sk_live_', 'hash-1', '["admin"]', '2024-06-01 12:00:00.000000', NULL),
  ('k2', 'blue', 'old', 'sk_live_', 'hash-2', '[]', '2024-06-01 12:00:00.000000', '2024-06-02 12:00:00.000000');
INSERT INTO events (tenant_id, event_id, user_id, item_id, interaction_type, timestamp, price, extra, created_at)
VALUES
  ('blue', 'e1', 'zoë', 'i1', 'view', '2024-06-01 12:00:00.000000', NULL, '{}', '2024-06-01 12:00:01.000000'),
  ('green', 'e1', 'zoë', 'i1', 'view', '2024-06-01 12:00:00.000000', NULL, '{}', '2024-06-01 12:00:01.000000'),
  ('blue', 'e2', 'ann', NULL, 'impression', '2024-06-01 12:00:00.123456', 1.5, '{"a": "ü"}',
    '2024-06-01 12:00:01.000000');
INSERT INTO runs VALUES
  ('run-1', 'blue', 'success', 'release', NULL, 3, 3, '{"loss": 0.5}', '2024-06-01 12:00:00.000000', NULL);
INSERT INTO uploads (tenant_id, upload_id, kind, sha256, filename, source, status, rows_accepted, rows_rejected,
  rows_duplicate, created_at, ingested_run)
VALUES ('blue', 'items-1', 'items', 'ab', 'Artikel ü.csv', 'http', 'accepted', 3, 1, 0, '2024-06-01 12:00:00.000000',
  NULL)
"""


def back_to(db: ControlDb, revision: str) -> None:
    """Take the database back to the tables of an earlier version."""
    with db.engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(engine_module.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def test_a_database_of_the_first_version_goes_on_where_it_stood(new_url: str, now: datetime) -> None:
    engine = open_control_db(new_url, migrate=False).engine
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        for statement in _FIRST.split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with closing(open_control_db(new_url)) as db:
        blue, green = list_tenants(db)
        noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
        assert (blue.name, blue.status, blue.created_at, green.status) == ("Bläu 日本", "active", noon, "suspended")
        assert [(key.id, key.status_at(now)) for key in list_api_keys(db, blue.id)] == [
            ("k1", "active"),
            ("k2", "revoked"),
        ]
        assert [(each.filename, each.left_out_at) for each in counting_uploads(db, blue.id)] == [
            ("Artikel ü.csv", None)
        ]
        run = find_run(db, blue.id, "run-1")
        assert run is not None and (run.status, run.metrics) == ("success", {"loss": 0.5})
        log = EventLog(db)
        first, third = log.export_after(blue.id).rows(named=True)
        assert (first["seq"], first["user_id"], third["seq"], third["extra"]) == (1, "zoë", 3, '{"a": "ü"}')
        assert third["timestamp"] == noon + timedelta(microseconds=123456)
        event = Event(event_id="e2", user_id="ann", item_id=None, interaction_type="impression", timestamp=now)
        again, new = log.append(blue.id, [event, replace(event, event_id="e3")], now=now)
        assert (again.seq, again.duplicate, new.seq, new.duplicate) == (3, True, 4, False)
        assert sorted(inspect(db.engine).get_table_names()) == sorted({*METADATA.tables, "alembic_version"})


def test_every_step_back_and_forward_again_ends_with_the_same_tables(db: ControlDb) -> None:
    before = _described(db.engine)
    back_to(db, "0001")
    with db.engine.begin() as connection:
        command.upgrade(_config(connection), "head")
    assert _described(db.engine) == before


def _described(engine: Engine) -> dict[str, object]:
    found = inspect(engine)
    return {
        table: (
            sorted((each["name"], str(each["type"]), each["nullable"]) for each in found.get_columns(table)),
            sorted((str(each["name"]), tuple(each["column_names"])) for each in found.get_indexes(table)),
        )
        for table in found.get_table_names()
    }


def test_runs_of_an_earlier_version_have_no_version_of_the_code(
    database_url: str, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    blue, green = shops
    note_end(db, blue, "run-1", status="failed", message="out of memory", now=now)
    back_to(db, "0009")
    assert "code_version" not in {column["name"] for column in inspect(db.engine).get_columns("runs")}
    of_that_version = "INSERT INTO runs (run_id, tenant_id, status, metrics, started_at) "
    values = "VALUES ('run-2', :tenant, 'failed', '{}', '2026-01-01 00:00:00.000000')"
    with db.engine.begin() as connection:
        connection.execute(text(of_that_version + values), {"tenant": green.value})
    again = open_control_db(database_url)
    run = find_run(again, blue, "run-1")
    assert run is not None
    assert (run.status, run.message, run.started_at, run.code_version) == ("failed", "out of memory", now, None)
    assert [each.run_id for each in newest_failed_under_other_code(again)] == ["run-1", "run-2"]
    again.close()


def test_ids_of_an_earlier_version_get_their_one_form(
    database_url: str, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    ids = ["cafe\u0301", "u\u200b1", "17.0", "plain"]
    for tenant in shops:
        events = [
            Event(event_id=f"e{n}", user_id=each, item_id=each, interaction_type="view", timestamp=now, session_id=each)
            for n, each in enumerate(ids)
        ]
        EventLog(db).append(tenant, events, now=now)
        append_item_changes(db, tenant, [ItemEdit(each, "put", {"title": "Lamp"}) for each in ids], now=now)
    back_to(db, "0011")
    again = open_control_db(database_url)
    for tenant in shops:
        events_now = EventLog(again).export_after(tenant)
        for column in ("user_id", "item_id", "session_id"):
            assert events_now[column].to_list() == ["café", "u1", "17", "plain"]
        assert [change.item_id for change in list_item_changes(again, tenant)] == ["café", "u1", "17", "plain"]
    again.close()
