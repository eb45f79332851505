"""The queries that run most often find their rows by an index that the tables declare, on a database with many rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from resources.base.tenant import TenantId
from resources.control_db.api_keys import authenticate, create_api_key
from resources.control_db.engine import ControlDb
from resources.databases.opening import is_postgresql
from resources.events import recent
from resources.events.log import IMPRESSION, Event, EventLog
from resources.jobs.model import JobKind
from resources.jobs.queue import JobQueue

pytestmark = pytest.mark.databases

ROWS = 4_000
_EVENTS = """
INSERT INTO events (tenant_id, event_id, user_id, item_id, interaction_type, timestamp, session_id, extra, created_at)
SELECT 'blue', 'e' || n, 'u' || (n % 500), 'i' || (n % 90), 'view', '2025-06-01 12:00:00', 's' || (n % 900), '{}',
  '2025-06-01 12:00:00' FROM numbers
"""
_JOBS = """
INSERT INTO jobs (tenant_id, id, kind, status, priority, input, result, progress, attempts, rests, cancel_requested,
  created_at, updated_at)
SELECT 'blue', 'j' || n, 'upload', 'done', 0, '{}', '{}', 1, 1, 0, FALSE, '2025-06-01 12:00:00', '2025-06-01 12:00:00'
FROM numbers
"""
_KEYS = """
INSERT INTO api_keys (id, tenant_id, name, prefix, key_hash, scopes, created_at)
SELECT 'k' || n, 'green', 'n', 'p', 'h' || n, '[]', '2025-06-01 12:00:00' FROM numbers
"""


@pytest.fixture
def full(db: ControlDb, shops: tuple[TenantId, TenantId]) -> ControlDb:
    with db.engine.begin() as connection:
        for statement in (_EVENTS, _JOBS, _KEYS):
            head, _, rest = statement.partition("SELECT")
            numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS})"
            connection.execute(text(f"{head} {numbers} SELECT {rest}"))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return db


@contextmanager
def asked(db: ControlDb) -> Iterator[list[tuple[str, Any]]]:
    """The statements that go to the database meanwhile, with their values."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        found.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def plan(db: ControlDb, statement: str, values: Any) -> str:
    how = "EXPLAIN" if is_postgresql(db.engine) else "EXPLAIN QUERY PLAN"
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{how} {statement}", values).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_authentication_finds_the_key_by_its_hash(full: ControlDb, now: datetime) -> None:
    _, secret = create_api_key(full, TenantId("blue"), name="shop", scopes=("admin",), now=now)
    _assert_index(full, lambda: authenticate(full, secret), "api_keys", "key_hash|sqlite_autoindex_api_keys")


def test_an_event_that_came_before_is_found_by_its_id(full: ControlDb, now: datetime) -> None:
    again = Event(event_id="e7", user_id="u7", item_id="i7", interaction_type="view", timestamp=now)
    append = lambda: EventLog(full).append(TenantId("blue"), [again], now=now)  # noqa: E731
    _assert_index(full, append, "events", "events_tenant_id_event_id_key|sqlite_autoindex_events")


def test_a_page_of_the_log_is_found_by_its_numbers(full: ControlDb) -> None:
    page = lambda: EventLog(full).export_after(TenantId("blue"), ROWS - 50, limit=100)  # noqa: E731
    _assert_index(full, page, "events", "ix_events_tenant_seq|events_pkey|PRIMARY KEY")


def test_an_idle_worker_finds_that_nothing_waits_by_kind_and_status(full: ControlDb, now: datetime) -> None:
    claim = lambda: JobQueue(full, lambda: now, "w").claim((JobKind.UPLOAD,))  # noqa: E731
    _assert_index(full, claim, "jobs", "ix_jobs_kind_status")


@pytest.mark.parametrize("which", ["user", "visitor"])
def test_an_answer_finds_what_happened_since_the_release(full: ControlDb, which: str) -> None:
    values = {"tenant": "blue", "user": "u7", "session": "s8", "after": 9, "impression": IMPRESSION, "most": 1000}
    on_server = {"user": recent._USER_ON_SERVER, "visitor": recent._VISITOR_ON_SERVER}[which].decode()
    in_file = {"user": recent._USER, "visitor": recent._VISITOR}[which]
    found = plan(full, on_server if is_postgresql(full.engine) else in_file, values)
    assert not re.search(r"(Seq Scan on|SCAN) events", found), found
    assert "ix_events_user" in found, found
    assert which == "user" or "ix_events_session" in found, found


def _assert_index(db: ControlDb, work: Callable[[], object], table: str, index: str) -> None:
    with asked(db) as statements:
        work()
    plans = [plan(db, each, values) for each, values in statements if re.search(rf"FROM {table}\b", each)]
    assert plans, statements
    for found in plans:
        assert not re.search(rf"(Seq Scan on|SCAN) {table}\b", found), found
    assert any(re.search(index, found) for found in plans), plans
