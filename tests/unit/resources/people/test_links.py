"""Links of mails: a password is set anew, and an address is verified, once and in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from resources.base.errors import LinkExpired, LinkNotValid, TooManyRequests
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import OneTimeLinkRow
from resources.people.members import hold_member, new_member, set_member_status
from resources.people.one_time_links import hash_token, new_link, read_link, use_link
from resources.people.password_reset import ask_for_reset, email_of_reset, reset_password
from resources.people.verification import send_verification, verify_address
from tests.unit.resources.people.parts import BOSS, SITE, WAY, actions, made, mails, member, token_in

pytestmark = pytest.mark.databases
JANE = "jane@example.com"


def asked(db: ControlDb, now: datetime, email: str = JANE) -> None:
    with db.write() as session:
        ask_for_reset(session, email, site_url=SITE, now=now)


def reset(db: ControlDb, token: str, now: datetime, password_hash: str = "new") -> None:
    with db.write() as session:
        reset_password(session, token, password_hash, way=WAY, now=now)


def test_a_reset_sets_the_password_and_ends_what_was_logged_in(db: ControlDb, now: datetime) -> None:
    jane = made(db, "jane", now)
    asked(db, now)
    (mail,) = mails(db, JANE)
    token = token_in(mail)
    for _ in range(2):  # reading it, as a scanner of mails does, uses nothing up
        with db.read() as session:
            assert email_of_reset(session, token, now) == JANE
    reset(db, token, now)
    found = member(db, jane)
    assert (found.password_hash, found.version) == ("new", 2)
    assert [each.template for each in mails(db, JANE)].count("password_changed") == 1
    assert actions(db) == ["password.reset"]
    with pytest.raises(LinkNotValid):
        reset(db, token, now, "other")
    assert member(db, jane).password_hash == "new"


def test_a_reset_uses_up_every_other_link_of_its_kind(db: ControlDb, now: datetime) -> None:
    made(db, "jane", now)
    asked(db, now)
    asked(db, now + timedelta(seconds=1))
    first, second = (token_in(mail) for mail in mails(db, JANE))
    reset(db, first, now)
    with pytest.raises(LinkNotValid):
        reset(db, second, now)


def test_a_link_ends_after_half_an_hour(db: ControlDb, now: datetime) -> None:
    made(db, "jane", now)
    asked(db, now)
    token = token_in(mails(db, JANE)[0])
    with db.read() as session:
        assert email_of_reset(session, token, now + timedelta(minutes=29, seconds=59)) == JANE
    with pytest.raises(LinkExpired):
        reset(db, token, now + timedelta(minutes=30))


def test_of_ten_who_use_a_link_at_once_one_does(db: ControlDb, now: datetime) -> None:
    jane = made(db, "jane", now)
    with db.write() as session:
        token = new_link(session, jane, "log_in", now=now)

    def use(_: int) -> bool:
        try:
            with db.write() as session:
                use_link(session, token, "log_in", now)
        except LinkNotValid:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(use, range(10))) == 1


def test_a_link_is_good_for_its_purpose_alone_and_stored_as_a_hash(db: ControlDb, now: datetime) -> None:
    jane = made(db, "jane", now)
    with db.write() as session:
        token = new_link(session, jane, "verify", now=now)
    with db.read() as session:
        assert session.get(OneTimeLinkRow, hash_token(token)) is not None
        assert session.get(OneTimeLinkRow, token) is None
        for wrong in (token + "x", "", "\0", "ü" * 300):
            with pytest.raises(LinkNotValid):
                read_link(session, wrong, "verify", now)
    with pytest.raises(LinkNotValid):
        reset(db, token, now)


def test_nobody_unknown_or_suspended_is_sent_a_link(db: ControlDb, now: datetime) -> None:
    asked(db, now, "nobody@example.com")
    jane = made(db, "jane", now)
    with db.write() as session:
        set_member_status(session, jane, "suspended", by=BOSS, now=now)
    asked(db, now)
    assert mails(db, "nobody@example.com") == mails(db, JANE) == []


def test_a_stranger_who_asks_again_and_again_fills_no_mailbox(db: ControlDb, now: datetime) -> None:
    made(db, "jane", now)
    for second in range(9):
        asked(db, now + timedelta(seconds=second))
    assert len(mails(db, JANE)) == 5
    with db.read() as session:
        assert email_of_reset(session, token_in(mails(db, JANE)[0]), now) == JANE  # and the first link stays good
    asked(db, now + timedelta(minutes=62))
    assert len(mails(db, JANE)) == 6


def test_who_logs_in_elsewhere_is_told_so(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        row = new_member(session, email=JANE, name="", password_hash=None, verified=True, now=now)
        row.sso_issuer, row.sso_subject = "https://id.example.com", "1"
    asked(db, now)
    assert [mail.template for mail in mails(db, JANE)] == ["no_password"]
    for second in range(9):
        asked(db, now + timedelta(seconds=second))
    assert len(mails(db, JANE)) == 5


def test_whoever_made_an_account_with_a_strangers_address_loses_it(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        row = new_member(session, email=JANE, name="", password_hash="theirs", verified=False, now=now)
        row.totp_secret, row.totp_confirmed_at = "SECRET", now
    asked(db, now)
    reset(db, token_in(mails(db, JANE)[0]), now)
    found = member(db, row.id)
    assert (found.password_hash, found.totp_secret, found.totp_confirmed_at) == ("new", None, None)
    assert found.email_verified_at == now


def test_a_reset_leaves_a_second_factor_of_the_owner(db: ControlDb, now: datetime) -> None:
    jane = made(db, "jane", now)
    with db.write() as session:
        row = hold_member(session, jane)
        row.totp_secret, row.totp_confirmed_at = "SECRET", now
    asked(db, now)
    reset(db, token_in(mails(db, JANE)[0]), now)
    assert member(db, jane).totp_confirmed_at == now


def test_an_address_is_verified_by_a_link(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        row = new_member(session, email=JANE, name="", password_hash="hash", verified=False, now=now)
        send_verification(session, row, site_url=SITE, now=now)
    token = token_in(mails(db, JANE)[0])
    with db.write() as session:
        verify_address(session, token, way=WAY, now=now + timedelta(days=2))
    assert member(db, row.id).email_verified_at == now + timedelta(days=2)
    assert actions(db) == ["member.verify"]
    with db.write() as session:
        send_verification(session, row, site_url=SITE, now=now)  # nothing to show any more
    assert len(mails(db, JANE)) == 1


def test_a_link_to_an_earlier_address_verifies_nothing(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        row = new_member(session, email=JANE, name="", password_hash="hash", verified=False, now=now)
        send_verification(session, row, site_url=SITE, now=now)
        row.email = "other@example.com"
    with pytest.raises(LinkNotValid, match="another address"), db.write() as session:
        verify_address(session, token_in(mails(db, JANE)[0]), way=WAY, now=now)
    assert member(db, row.id).email_verified_at is None


def test_a_link_to_verify_is_not_sent_without_end(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        row = new_member(session, email=JANE, name="", password_hash="hash", verified=False, now=now)
        for _ in range(5):
            send_verification(session, row, site_url=SITE, now=now)
    with pytest.raises(TooManyRequests), db.write() as session:
        send_verification(session, row, site_url=SITE, now=now)
