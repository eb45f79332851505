"""Members: one address in one form, and who may not be taken away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

import pytest
from sqlalchemy import select

from resources.access.actor import SYSTEM
from resources.base.errors import Conflict, InvalidInput, NotFound
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MemberRow
from resources.people.members import (
    Member,
    member_by_email,
    member_by_id,
    new_member,
    one_email,
    rename_member,
    set_member_status,
    set_office_role,
)

pytestmark = pytest.mark.databases


def made(db: ControlDb, email: str, now: datetime) -> str:
    with db.write() as session:
        return new_member(session, email=email, name="", password_hash=None, verified=False, now=now).id


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (" Jane@Example.COM\n", "jane@example.com"),
        ("JÖRG@example.com", "jörg@example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com"),
        ("a+b@bücher.example", "a+b@bücher.example"),
        ("a+b@xn--bcher-kva.example", "a+b@bücher.example"),
    ],
)
def test_an_address_has_one_form(text: str, email: str) -> None:
    assert one_email(text) == email
    assert one_email(email) == email


@pytest.mark.parametrize("text", ["", "jane", "jane@", "@example.com", "a b@example.com", "a\0@example.com"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput, match="e-mail address"):
        one_email(text)


def test_an_address_is_taken_once(db: ControlDb, now: datetime) -> None:
    member = made(db, "jane@example.com", now)
    with pytest.raises(Conflict):
        made(db, "jane@example.com", now)
    with db.read() as session:
        found = member_by_email(session, "jane@example.com")
        assert found is not None and found.id == member
        assert Member.of(found).email_verified is False
        assert member_by_email(session, "john@example.com") is None
        with pytest.raises(NotFound):
            member_by_id(session, "mem-0")


def test_a_suspension_ends_everything_and_is_recorded(db: ControlDb, now: datetime) -> None:
    member = made(db, "jane@example.com", now)
    with db.write() as session:
        assert set_member_status(session, member, "suspended", by=SYSTEM, now=now).version == 2
        assert set_member_status(session, member, "suspended", by=SYSTEM, now=now).version == 2
        assert set_member_status(session, member, "active", by=SYSTEM, now=now).version == 2
        rename_member(session, member_by_id(session, member), " Jane ", by=SYSTEM, now=now)
    with db.read() as session:
        entries = session.scalars(select(AuditRow).order_by(AuditRow.seq)).all()
        assert [each.action for each in entries] == ["member.suspend", "member.resume", "member.rename"]
        assert (entries[0].before, entries[0].after) == ({"status": "active"}, {"status": "suspended"})
        assert session.get_one(MemberRow, member).name == "Jane"


def test_the_last_super_admin_stays(db: ControlDb, now: datetime) -> None:
    first, second = made(db, "jane@example.com", now), made(db, "john@example.com", now)
    with db.write() as session:
        set_office_role(session, first, "super_admin", by=SYSTEM, now=now)
    for change in (
        lambda session: set_office_role(session, first, None, by=SYSTEM, now=now),
        lambda session: set_office_role(session, first, "developer", by=SYSTEM, now=now),
        lambda session: set_member_status(session, first, "suspended", by=SYSTEM, now=now),
    ):
        with pytest.raises(Conflict, match="last super admin"), db.write() as session:
            change(session)
    with db.write() as session:
        set_office_role(session, second, "super_admin", by=SYSTEM, now=now)
        set_office_role(session, first, None, by=SYSTEM, now=now)
    with db.read() as session:
        assert session.get_one(MemberRow, first).office_role is None


def test_of_two_who_take_an_address_at_once_one_is_told(db: ControlDb, now: datetime) -> None:
    both_have_looked = Barrier(2)

    def make(_: int) -> str | None:
        try:
            with db.read() as session:  # as whoever looks before they write
                assert member_by_email(session, "jane@example.com") is None
            both_have_looked.wait()
            return made(db, "jane@example.com", now)
        except Conflict as error:
            return error.message

    with ThreadPoolExecutor(2) as threads:
        answers = sorted(map(str, threads.map(make, range(2))))
    assert "jane@example.com" in answers[0] and answers[1].startswith("mem-")


def test_whoever_has_looked_too_early_is_told_of_a_conflict(
    db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(db, "jane@example.com", now)
    # What a transaction sees that began before the other one has committed.
    monkeypatch.setattr("resources.people.members.member_by_email", lambda session, email: None)
    with pytest.raises(Conflict, match=r"jane@example\.com was taken just now"):
        made(db, "jane@example.com", now)
    with db.read() as session:
        assert len(session.scalars(select(MemberRow)).all()) == 1
