"""Verifying a chain: whatever is done to its rows is found, and named with both hashes."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import select

from resources.audit.entries import hash_of
from resources.audit.verifying import Break
from resources.base.errors import InvalidInput
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from tests.unit.conftest import BLUE, GREEN
from tests.unit.resources.audit.chains import tamper, verified, write_chain

pytestmark = pytest.mark.databases
OF_BLUE = "WHERE chain = 'blue' AND number"


def row(db: ControlDb, number: int) -> AuditRow:
    with db.read() as session:
        return session.scalars(select(AuditRow).where(AuditRow.chain == "blue", AuditRow.number == number)).one()


def broken(db: ControlDb, **options: object) -> Break:
    found = verified(db, "blue", **options)
    assert found.broken is not None and not found.unbroken and found.whole
    return found.broken


def rehash(db: ControlDb, *numbers: int) -> None:
    """Make the hashes of entries right again, as somebody would who knows how."""
    for number in numbers:
        with db.write() as session:
            entry = session.scalars(select(AuditRow).where(AuditRow.chain == "blue", AuditRow.number == number)).one()
            before = session.scalars(
                select(AuditRow.hash).where(AuditRow.chain == "blue", AuditRow.number == number - 1)
            ).one_or_none()
            entry.previous = before or entry.previous
            entry.hash = hash_of(entry)


@pytest.fixture(autouse=True)
def _chains(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 6, now)
    write_chain(db, GREEN, 2, now)


def test_an_unbroken_chain_is_said_to_be_so(db: ControlDb) -> None:
    told: list[tuple[int, int]] = []
    found = verified(db, "blue", on_progress=lambda done, of: told.append((done, of)))
    assert (found.unbroken, found.whole, found.entries, found.first, found.last) == (True, True, 6, 1, 6)
    assert (found.head, told) == (row(db, 6).hash, [(6, 6)])


def test_a_chain_without_entries_is_unbroken(db: ControlDb) -> None:
    found = verified(db, "nobody")
    assert (found.unbroken, found.entries, found.first, found.last) == (True, 0, 0, 0)


@pytest.mark.parametrize(
    "column, value",
    [
        ("action", "'rule.remove'"),
        ("actor_name", "'mallory@example.com'"),
        ("before", "'{}'"),
        ("after", "'{\"n\": 4}'"),
        ("address", "NULL"),
        ("reason", "'why not'"),
        ("at", "'2025-06-01 13:00:00.000000'"),
    ],
)
def test_a_changed_row_is_found(db: ControlDb, column: str, value: str) -> None:
    if column == "at" and db.engine.dialect.name == "postgresql":
        value = "'2025-06-01 13:00:00+00'"
    tamper(db, f"UPDATE audit_log SET {column} = {value} {OF_BLUE} = 3")
    found = broken(db)
    assert (found.number, found.damage, found.expected) == (3, "changed", row(db, 3).hash)
    assert found.found == hash_of(row(db, 3)) != found.expected
    assert verified(db, "green").unbroken


def test_a_row_that_was_changed_with_its_hash_is_found_by_the_next(db: ControlDb) -> None:
    was = row(db, 3).hash
    tamper(db, f"UPDATE audit_log SET actor_name = 'mallory' {OF_BLUE} = 3")
    rehash(db, 3)
    found = broken(db)
    assert (found.number, found.damage) == (3, "changed")
    assert (found.expected, found.found) == (was, row(db, 3).hash)


@pytest.mark.parametrize("number", [1, 3])
def test_a_removed_row_is_found(db: ControlDb, number: int) -> None:
    was = row(db, number).hash
    tamper(db, f"DELETE FROM audit_log {OF_BLUE} = {number}")
    found = broken(db)
    assert (found.number, found.damage, found.expected) == (number, "removed", was)
    assert f"entry {number}" in found.message


def test_several_removed_rows_are_named_from_to(db: ControlDb) -> None:
    tamper(db, f"DELETE FROM audit_log {OF_BLUE} IN (2, 3, 4)")
    assert "entries 2 to 4" in broken(db).message


def test_a_row_that_was_removed_and_the_rest_renumbered_is_found(db: ControlDb) -> None:
    tamper(
        db,
        f"DELETE FROM audit_log {OF_BLUE} = 3",
        f"UPDATE audit_log SET number = 3 {OF_BLUE} = 4",
        f"UPDATE audit_log SET number = 4 {OF_BLUE} = 5",
        f"UPDATE audit_log SET number = 5 {OF_BLUE} = 6",
    )
    found = broken(db)
    assert (found.number, found.damage) == (3, "removed")


COPY = (
    "INSERT INTO audit_log (chain, number, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, "
    "source, previous, hash) SELECT chain, {number}, at, actor_kind, actor_id, 'mallory', action, object_kind, "
    "object_id, source, previous, hash FROM audit_log WHERE chain = 'blue' AND number = {of}"
)


@pytest.mark.parametrize("right_hash", [True, False])
def test_a_row_that_was_put_in_between_is_found(db: ControlDb, right_hash: bool) -> None:
    shift = [f"UPDATE audit_log SET number = {n + 1} {OF_BLUE} = {n}" for n in (6, 5, 4)]
    tamper(db, *shift, COPY.format(number=4, of=3))
    if right_hash:
        rehash(db, 4)
    found = broken(db)
    assert (found.number, found.damage) == (4, "inserted")


def test_a_row_that_was_put_behind_the_head_is_found(db: ControlDb) -> None:
    tamper(db, COPY.format(number=7, of=6))
    rehash(db, 7)
    found = broken(db)
    assert (found.number, found.damage, found.found) == (7, "inserted", row(db, 7).hash)


def test_a_row_that_was_put_before_the_first_is_found(db: ControlDb) -> None:
    tamper(db, COPY.format(number=0, of=1))
    found = broken(db)
    assert (found.number, found.damage) == (0, "inserted")


@pytest.mark.parametrize("first, second", [(2, 3), (2, 5)])
def test_swapped_rows_are_found(db: ControlDb, first: int, second: int) -> None:
    tamper(
        db,
        f"UPDATE audit_log SET number = -1 {OF_BLUE} = {first}",
        f"UPDATE audit_log SET number = {first} {OF_BLUE} = {second}",
        f"UPDATE audit_log SET number = {second} {OF_BLUE} = -1",
    )
    found = broken(db)
    assert (found.number, found.damage) == (first, "swapped")
    assert f"{first} and {second}" in found.message
    assert found.expected != found.found


def test_rows_whose_contents_were_swapped_are_found(db: ControlDb) -> None:
    one, other = row(db, 2), row(db, 4)
    for number, of in ((2, other), (4, one)):
        tamper(
            db,
            f"UPDATE audit_log SET object_id = :object, after = :after, at = :at {OF_BLUE} = {number}",
            object=of.object_id,
            after=f'{{"n": {of.object_id[-1]}}}',
            at=f"{of.at:%Y-%m-%d %H:%M:%S.%f}" + ("+00" if db.engine.dialect.name == "postgresql" else ""),
        )
    found = broken(db)
    assert (found.number, found.damage) == (2, "swapped")


def test_an_end_that_was_cut_off_is_found_by_the_head(db: ControlDb) -> None:
    was = row(db, 6).hash
    tamper(db, f"DELETE FROM audit_log {OF_BLUE} > 4")
    found = broken(db)
    assert (found.number, found.damage, found.expected, found.found) == (5, "cut off", was, row(db, 4).hash)


def test_an_end_that_was_cut_off_with_the_head_is_found_by_an_exported_head(db: ControlDb) -> None:
    exported = {6: (row(db, 6).hash,)}
    tamper(
        db,
        f"DELETE FROM audit_log {OF_BLUE} > 4",
        "UPDATE audit_heads SET number = 4, hash = :hash WHERE chain = 'blue'",
        hash=row(db, 4).hash,
    )
    assert verified(db, "blue").unbroken, "a chain alone cannot show this"
    found = broken(db, exported=exported)
    assert (found.number, found.damage, found.expected, found.found) == (5, "cut off", exported[6][0], row(db, 4).hash)


def test_a_chain_that_was_made_anew_is_found_by_an_exported_head(db: ControlDb) -> None:
    exported = {5: (row(db, 5).hash,)}
    tamper(db, f"UPDATE audit_log SET actor_name = 'mallory' {OF_BLUE} = 3")
    rehash(db, 3, 4, 5, 6)
    tamper(db, "UPDATE audit_heads SET hash = :hash WHERE chain = 'blue'", hash=row(db, 6).hash)
    assert verified(db, "blue").unbroken, "a chain alone cannot show this"
    found = broken(db, exported=exported)
    assert (found.number, found.expected, found.found) == (5, exported[5][0], row(db, 5).hash)


def test_a_head_that_is_gone_is_found(db: ControlDb) -> None:
    tamper(db, "DELETE FROM audit_heads WHERE chain = 'blue'")
    assert (broken(db).number, broken(db).damage) == (6, "no head")


def test_a_chain_that_lost_everything_is_found_by_its_head(db: ControlDb) -> None:
    tamper(db, "DELETE FROM audit_log WHERE chain = 'blue'")
    assert (broken(db).number, broken(db).damage) == (1, "cut off")


def test_an_anchor_that_no_entry_speaks_of_is_found(db: ControlDb) -> None:
    third = row(db, 3).hash
    tamper(
        db,
        f"DELETE FROM audit_log {OF_BLUE} <= 3",
        "UPDATE audit_heads SET removed_until = 3, removed_hash = :hash WHERE chain = 'blue'",
        hash=third,
    )
    found = broken(db)
    assert (found.number, found.damage) == (3, "removed")


def test_a_long_chain_is_verified_in_steps(db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.audit.verifying._BATCH", 2)
    first = verified(db, "blue", most=2)
    assert (first.unbroken, first.whole, first.first, first.last, first.head) == (True, False, 1, 2, row(db, 2).hash)
    rest = verified(db, "blue", after=2)
    assert (rest.unbroken, rest.whole, rest.first, rest.last) == (True, True, 3, 6)
    tamper(db, f"UPDATE audit_log SET actor_name = 'mallory' {OF_BLUE} = 5")
    assert broken(db, after=2).number == 5
    with pytest.raises(InvalidInput, match="no entry 99"):
        verified(db, "blue", after=99)
