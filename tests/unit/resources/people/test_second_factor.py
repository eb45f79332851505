"""The second factor: codes of now, once each, and recovery codes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from sqlalchemy import select

from resources.base.errors import Conflict, InvalidInput
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import RecoveryCodeRow
from resources.databases.opening import is_postgresql
from resources.people.members import hold_member, member_by_id
from resources.people.second_factor import (
    begin_second_factor,
    check,
    codes_left,
    confirm_second_factor,
    missing,
    remove_second_factor,
    renew_recovery_codes,
    required,
)
from tests.unit.resources.people.parts import BOSS, actions, made, mails, member

pytestmark = pytest.mark.databases
STEP = timedelta(seconds=30)


@pytest.fixture
def jane(db: ControlDb, now: datetime) -> str:
    return made(db, "jane", now)


@pytest.fixture
def code_at(db: ControlDb, jane: str, now: datetime) -> Callable[[datetime], str]:
    """What the authenticator of jane shows, who has set one up an hour ago."""
    with db.write() as session:
        made = begin_second_factor(session, jane, now=now)
    totp = pyotp.TOTP(made.secret)
    with db.write() as session:
        confirm_second_factor(session, jane, totp.at(now - timedelta(hours=1)), by=BOSS, now=now - timedelta(hours=1))
    return lambda at: totp.at(at)


def checked(db: ControlDb, jane: str, code: str, now: datetime) -> bool:
    with db.write() as session:
        return check(session, member_by_id(session, jane), code, now)


def test_a_factor_counts_from_its_first_code_on(db: ControlDb, jane: str, now: datetime) -> None:
    with db.write() as session:
        shown = begin_second_factor(session, jane, now=now)
    address = urlsplit(shown.otpauth_url)
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query) == {"secret": [shown.secret], "issuer": ["recsaas"]}
    assert "jane%40example.com" in address.path
    code = pyotp.TOTP(shown.secret).at(now)
    assert not required(member(db, jane))
    assert not checked(db, jane, code, now)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    with pytest.raises(InvalidInput, match="clock"), db.write() as session:
        confirm_second_factor(session, jane, wrong, by=BOSS, now=now)
    with db.write() as session:
        codes = confirm_second_factor(session, jane, code, by=BOSS, now=now)
    assert len(set(codes)) == 10
    assert required(member(db, jane))
    assert not checked(db, jane, code, now)  # the one that confirmed it is used up
    assert actions(db) == ["second_factor.add"]
    assert [mail.subject for mail in mails(db, "jane@example.com")] == ["Your second factor was set up"]
    with pytest.raises(Conflict), db.write() as session:
        begin_second_factor(session, jane, now=now)


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime, steps: int, taken: bool
) -> None:
    assert checked(db, jane, code_at(now + steps * STEP), now) is taken


def test_a_code_counts_once_and_none_before_it_any_more(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    assert checked(db, jane, f" {code_at(now)[:3]} {code_at(now)[3:]} ", now)
    assert not checked(db, jane, code_at(now), now)
    assert not checked(db, jane, code_at(now - STEP), now)
    assert checked(db, jane, code_at(now + STEP), now)


def test_of_ten_who_send_a_code_at_once_one_comes_in(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(lambda _: checked(db, jane, code_at(now), now), range(10))) == 1


@pytest.mark.databases("postgresql")  # on SQLite one transaction at a time writes
def test_a_code_that_was_used_since_the_member_was_read_does_not_count(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    with db.write() as session:
        read = member_by_id(session, jane)
        assert checked(db, jane, code_at(now), now)
        assert not check(session, read, code_at(now), now)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "\0", "x" * 5000])
def test_what_is_no_code_is_none(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime, code: str
) -> None:
    assert not checked(db, jane, code, now)


def test_a_recovery_code_counts_once_however_it_is_written(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    with db.write() as session:
        codes = renew_recovery_codes(session, jane, by=BOSS, now=now)
    with db.read() as session:
        stored = set(session.scalars(select(RecoveryCodeRow.code_hash)))
    assert stored.isdisjoint(codes)
    assert checked(db, jane, codes[0].upper().replace("-", " "), now)
    assert not checked(db, jane, codes[0], now)
    assert checked(db, jane, codes[1], now)
    with db.read() as session:
        assert codes_left(session, jane) == 8
    assert mails(db, "jane@example.com")[-1].subject == "Your second factor was replaced by a recovery code"
    with db.write() as session:
        renew_recovery_codes(session, jane, by=BOSS, now=now)
    assert not checked(db, jane, codes[2], now)


def test_a_recovery_code_of_somebody_else_counts_nothing(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    other = made(db, "other", now)
    with db.write() as session:
        secret = begin_second_factor(session, other, now=now).secret
        codes = confirm_second_factor(session, other, pyotp.TOTP(secret).at(now), by=BOSS, now=now)
    assert not checked(db, jane, codes[0], now)
    assert checked(db, other, codes[0], now)


def test_a_factor_that_is_taken_away_ends_all_that_was_logged_in(
    db: ControlDb, jane: str, code_at: Callable[[datetime], str], now: datetime
) -> None:
    with db.write() as session:
        remove_second_factor(session, jane, by=BOSS, now=now)
    found = member(db, jane)
    assert (found.totp_secret, found.totp_confirmed_at, found.totp_last_step, found.version) == (None, None, None, 2)
    assert not checked(db, jane, code_at(now), now)
    with db.read() as session:
        assert codes_left(session, jane) == 0
    with pytest.raises(Conflict), db.write() as session:
        remove_second_factor(session, jane, by=BOSS, now=now)
    with pytest.raises(Conflict), db.write() as session:
        renew_recovery_codes(session, jane, by=BOSS, now=now)


def test_the_office_may_have_to_have_one(db: ControlDb, jane: str, now: datetime) -> None:
    row = member(db, jane)
    assert not missing(row, "required")
    with db.write() as session:
        held = hold_member(session, jane)
        held.office_role = "developer"
    row = member(db, jane)
    assert missing(row, "required")
    assert not missing(row, "off")
    with db.write() as session:
        hold_member(session, jane).totp_confirmed_at = now
    assert not missing(member(db, jane), "required")


def test_a_member_who_is_held_is_as_they_are_now(db: ControlDb, now: datetime) -> None:
    jane = made(db, "jane", now)
    with db.read() as session:
        if not is_postgresql(session.get_bind()):
            return  # whoever holds a member there was the one writer from its start
    with db.write() as session:
        seen = member_by_id(session, jane)
        with db.write() as other:
            member_by_id(other, jane).version = 7
        assert hold_member(session, jane).version == seen.version == 7
