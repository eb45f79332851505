"""Databases that an earlier version has filled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import resources.control_db.engine as engine_module
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.items import ItemEdit, append_item_changes, list_item_changes
from resources.events.log import Event, EventLog
from resources.training.runs import find_run, newest_failed_under_other_code, note_end


def back_to(db: ControlDb, revision: str) -> None:
    """Take the database back to the tables of an earlier version."""
    config = Config()
    config.set_main_option("script_location", str(Path(engine_module.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_runs_of_an_earlier_version_have_no_version_of_the_code(
    tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    blue, green = shops
    note_end(db, blue, "run-1", status="failed", message="out of memory", now=now)
    back_to(db, "0009")
    assert "code_version" not in {column["name"] for column in inspect(db.engine).get_columns("runs")}
    of_that_version = (
        "INSERT INTO runs (run_id, tenant_id, status, metrics, started_at) VALUES (?, ?, 'failed', '{}', ?)"
    )
    with db.engine.begin() as connection:
        connection.exec_driver_sql(of_that_version, ("run-2", green.value, "2026-01-01 00:00:00.000000"))
    again = open_control_db(f"sqlite:///{tmp_path}/control.db")
    run = find_run(again, blue, "run-1")
    assert run is not None
    assert (run.status, run.message, run.started_at, run.code_version) == ("failed", "out of memory", now, None)
    assert [each.run_id for each in newest_failed_under_other_code(again)] == ["run-1", "run-2"]
    again.close()


def test_ids_of_an_earlier_version_get_their_one_form(
    tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
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
    again = open_control_db(f"sqlite:///{tmp_path}/control.db")
    for tenant in shops:
        events_now = EventLog(again).export_after(tenant)
        for column in ("user_id", "item_id", "session_id"):
            assert events_now[column].to_list() == ["café", "u1", "17", "plain"]
        assert [change.item_id for change in list_item_changes(again, tenant)] == ["café", "u1", "17", "plain"]
    again.close()
