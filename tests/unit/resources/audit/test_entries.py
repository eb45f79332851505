"""Adding to the audit log: what stands in an entry, and that entries of one chain follow each other."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from resources.audit.entries import NOTHING_BEFORE, PLATFORM_CHAIN, Change, hash_of, record
from resources.audit.subjects import subject_of
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditHeadRow, AuditRow
from tests.unit.conftest import BLUE, GREEN
from tests.unit.resources.audit.chains import JANE, change, verified, write_chain

pytestmark = pytest.mark.databases


def entries(db: ControlDb, chain: str = "blue") -> list[AuditRow]:
    with db.read() as session:
        found = select(AuditRow).where(AuditRow.chain == chain).order_by(AuditRow.number)
        return list(session.scalars(found))


def test_each_entry_has_the_hash_of_the_one_before(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 3, now)
    rows = entries(db)
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.previous for row in rows] == [NOTHING_BEFORE, rows[0].hash, rows[1].hash]
    assert [hash_of(row) for row in rows] == [row.hash for row in rows]
    with db.read() as session:
        head = session.get_one(AuditHeadRow, "blue")
    assert (head.number, head.hash, head.removed_until) == (3, rows[2].hash, 0)


def test_an_entry_says_who_did_what_for_whom_and_from_where(db: ControlDb, now: datetime) -> None:
    by = replace(JANE, kind="office", acting_for="owner@example.com", reason="ticket 4711")
    before = {"price": 1.5, "title": "Tasse ☕", "tags": None}
    edit = Change(action="rule.change", object_kind="rule", object_id="r1", before=before, after={"price": 2})
    with db.write() as session:
        record(session, by, edit, tenant=BLUE, now=now)
    (row,) = entries(db)
    assert (row.actor_kind, row.actor_id, row.actor_name) == ("office", "member-1", "jane@example.com")
    assert (row.acting_for, row.reason, row.source) == ("owner@example.com", "ticket 4711", "api")
    assert (row.address, row.request_id, row.at) == ("192.0.2.7", "request-1", now)
    assert (row.action, row.object_kind, row.object_id) == ("rule.change", "rule", "r1")
    assert (row.before, row.after) == (before, {"price": 2})


def test_an_entry_goes_with_the_transaction_that_it_is_of(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 1, now)
    with pytest.raises(ZeroDivisionError), db.write() as session:
        record(session, JANE, change(2), tenant=BLUE, now=now)
        _ = 1 // 0
    assert len(entries(db)) == 1
    write_chain(db, BLUE, 1, now)
    assert verified(db, "blue").unbroken


def test_chains_of_tenants_and_the_platform_are_apart(db: ControlDb, now: datetime) -> None:
    for tenant in (BLUE, None, GREEN, BLUE):
        write_chain(db, tenant, 1, now)
    assert [len(entries(db, chain)) for chain in ("blue", "green", PLATFORM_CHAIN)] == [2, 1, 1]
    assert entries(db, "green")[0].previous == NOTHING_BEFORE


def test_secrets_are_left_out_wherever_they_stand(db: ControlDb, now: datetime) -> None:
    planted = "sk_live_" + "a" * 32
    after: dict[str, Any] = {
        "password": "p4ssw0rd-planted",
        "nested": {"totp_secret": "planted-2", "list": [{"refresh_token": "planted-3"}]},
        "code": "planted-4",
        "note": f"the key {planted} leaked",
        "currency_code": "EUR",
        "sha256": "ab12",
    }
    by = replace(JANE, reason=f"somebody sent {planted} by mail")
    with db.write() as session:
        record(session, by, Change(action="x.y", object_kind="x", object_id="1", after=after), tenant=BLUE, now=now)
    (row,) = entries(db)
    shown = repr((row.after, row.reason))
    assert "planted" not in shown and planted not in shown
    assert row.after is not None
    assert (row.after["currency_code"], row.after["sha256"]) == ("EUR", "ab12")


def test_long_and_strange_values_are_stored_in_a_form_that_every_database_takes(db: ControlDb, now: datetime) -> None:
    after = {
        "ids": [f"i{n}" for n in range(5000)],
        "text": "x" * 100_000,
        "nul": "a\0b",
        "half": "\ud800",
        "nan": float("nan"),
        "at": now,
    }
    odd = Change(action="x.y", object_kind="x", object_id="o\0" + "ü" * 400, after=after)
    by = replace(JANE, id="i" * 200, name="n" * 500, reason="r" * 5000, address="a" * 100, request_id="q" * 300)
    with db.write() as session:
        record(session, by, odd, tenant=BLUE, now=now)
    (row,) = entries(db)
    assert row.after is not None
    assert row.after["ids"][:2] == ["i0", "i1"] and row.after["ids"][-1] == "(and 4,980 more)"
    assert (len(row.after["text"]), row.after["nan"]) == (500, "nan")
    assert (len(row.actor_id), len(row.actor_name), len(row.object_id)) == (80, 254, 256)
    assert verified(db, "blue").unbroken


def test_two_who_write_at_once_get_numbers_after_each_other(db: ControlDb, now: datetime) -> None:
    began = threading.Barrier(8)

    def write() -> None:
        began.wait()
        for _ in range(10):
            with db.write() as session:
                record(session, JANE, change(1), tenant=BLUE, now=now)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verified(db, "blue")
    assert (found.unbroken, found.entries, found.last) == (True, 80, 80)


@pytest.mark.databases("postgresql")
def test_a_chain_that_is_held_keeps_no_other_tenant_waiting(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        record(session, JANE, change(1), tenant=BLUE, now=now)
        write_chain(db, GREEN, 2, now)  # would wait for ever, and fail at the lock's time limit
        assert verified(db, "green").entries == 2
    assert verified(db, "blue").entries == 1


def test_a_shopper_stands_in_the_log_as_a_hash_that_finds_them(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        zoe, again = subject_of(session, BLUE, "zoe@example.com"), subject_of(session, BLUE, "zoe@example.com")
        other, elsewhere = subject_of(session, BLUE, "zoe"), subject_of(session, GREEN, "zoe@example.com")
    assert zoe == again and len({zoe, other, elsewhere}) == 3
    assert "zoe" not in zoe
