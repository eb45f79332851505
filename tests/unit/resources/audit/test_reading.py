"""Reading the audit log: searches that an index serves find what is far back, in one page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy.event import listen

from resources.audit.entries import record
from resources.audit.reading import AuditFilter, read_page
from resources.control_db.engine import ControlDb
from tests.unit.conftest import BLUE, GREEN
from tests.unit.resources.audit.chains import JANE, change, write_chain

pytestmark = pytest.mark.databases
WINDOW = 5
OLD = replace(JANE, id="member-2", name="old@example.com", acting_for="owner@example.com")


def write_old_and_new(db: ControlDb, now: datetime) -> None:
    """Three entries that are searched for, and many more than one page looks at behind them."""
    with db.write() as session:
        for number in range(3):
            record(session, OLD, replace(change(700 + number), action="key.revoke"), tenant=BLUE, now=now)
    write_chain(db, GREEN, 4 * WINDOW, now)
    write_chain(db, BLUE, 4 * WINDOW, now)


@pytest.mark.parametrize("chains", [["blue"], ["blue", "green"], None])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditFilter(actor="member-2"), 3),
        (AuditFilter(actor="old@example.com"), 3),
        (AuditFilter(actor="owner@example.com"), 3),
        (AuditFilter(action="key.revoke"), 3),
        (AuditFilter(action="key"), 3),
        (AuditFilter(object_id="rule-701"), 1),
        (AuditFilter(object_id="rule-701", action="key", actor="member-2"), 1),
        (AuditFilter(action="nothing"), 0),
    ],
)
def test_what_an_index_serves_is_answered_whole(
    db: ControlDb, now: datetime, wanted: AuditFilter, found: int, chains: list[str] | None
) -> None:
    write_old_and_new(db, now)
    with db.read() as session:
        page = read_page(session, chains, wanted, limit=10, searched=WINDOW)
    assert len(page.entries) == found and page.below is None
    assert {entry.actor_id for entry in page.entries} <= {"member-2"}


def test_pages_of_such_a_search_have_each_entry_once(db: ControlDb, now: datetime) -> None:
    write_old_and_new(db, now)
    numbers, below = [], None
    for _ in range(3):
        with db.read() as session:
            page = read_page(session, ["blue"], AuditFilter(actor="member-2"), limit=1, below=below, searched=WINDOW)
        numbers += [entry.number for entry in page.entries]
        below = page.below
    assert numbers == [3, 2, 1] and below is None


def test_a_text_is_searched_in_parts(db: ControlDb, now: datetime) -> None:
    write_old_and_new(db, now)
    with db.read() as session:
        page = read_page(session, ["blue"], AuditFilter(text="old@", actor="member-2"), limit=10, searched=WINDOW)
        assert page.entries == () and page.below is not None
        while page.below is not None and not page.entries:
            page = read_page(session, ["blue"], AuditFilter(text="old@"), limit=10, below=page.below, searched=WINDOW)
    assert len(page.entries) == 3


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        (AuditFilter(actor="member-2"), {"actor", "actor_name", "acting_for"}),
        (AuditFilter(action="key.revoke"), {"action"}),
        (AuditFilter(object_id="rule-701"), {"object"}),
    ],
)
def test_such_a_search_uses_its_index(db: ControlDb, wanted: AuditFilter, indexes: set[str]) -> None:
    plans: list[str] = []
    with db.read() as session:
        connection = session.connection()

        def explain(_: object, cursor: object, statement: str, parameters: object, *rest: object) -> None:
            if statement.startswith("SELECT audit_log"):
                rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
                plans.extend(str(row[-1]) for row in rows)

        listen(connection, "before_cursor_execute", explain)
        read_page(session, ["blue"], wanted, limit=10)
    assert len(plans) == len(indexes)
    assert {plan.split("ix_audit_log_")[1].split()[0] for plan in plans} == indexes
