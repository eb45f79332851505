"""Mails that wait: each is taken by one, tried again after a rest, and given up in the end."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MailRow
from resources.control_db.tables.tenants import TenantRow
from resources.mail.queue import queue_mail
from resources.mail.waiting import (
    LEASE,
    Mail,
    any_waits,
    keep_mail,
    mark_failed,
    mark_sent,
    remove_old_mails,
    rest_of_mail,
    take_mail,
)

pytestmark = pytest.mark.databases
VALUES = {"email": "jane@example.com"}


def queued(db: ControlDb, now: datetime, tenant: TenantId | None = None) -> str:
    with db.write() as session:
        return queue_mail(session, "jane@example.com", "password_changed", VALUES, tenant=tenant, now=now)


def taken(db: ControlDb, now: datetime) -> Mail | None:
    with db.write() as session:
        return take_mail(session, now)


def row(db: ControlDb, mail_id: str) -> MailRow:
    with db.read() as session:
        return session.get_one(MailRow, mail_id)


def test_a_mail_is_taken_by_one_and_goes_back_when_that_one_is_gone(db: ControlDb, now: datetime) -> None:
    mail_id = queued(db, now)
    first = taken(db, now)
    assert first is not None
    assert (first.id, first.attempts, first.subject) == (mail_id, 1, "Your password was changed")
    assert taken(db, now + LEASE - timedelta(seconds=1)) is None
    with db.write() as session:
        assert keep_mail(session, first, now + LEASE - timedelta(seconds=1))
    assert taken(db, now + LEASE) is None
    second = taken(db, now + 2 * LEASE)
    assert second is not None
    with db.write() as session:  # whoever comes back too late changes nothing
        assert not keep_mail(session, first, now + 2 * LEASE)
        assert not mark_sent(session, first, now + 2 * LEASE)
        assert mark_sent(session, second, now + 2 * LEASE)
    found = row(db, mail_id)
    assert (found.sent_at, found.body, found.attempts) == (now + 2 * LEASE, None, 2)
    with db.read() as session:
        assert not any_waits(session, now + timedelta(days=9))


def test_ten_who_look_at_once_take_each_mail_once(db: ControlDb, now: datetime) -> None:
    ids = {queued(db, now) for _ in range(20)}

    def take_all(_: int) -> list[str]:
        found = []
        while (mail := taken(db, now)) is not None:
            found.append(mail.id)
        return found

    with ThreadPoolExecutor(10) as pool:
        counted = Counter(each for found in pool.map(take_all, range(10)) for each in found)
    assert counted == Counter(ids)


def test_what_fails_rests_longer_each_time_and_is_given_up_after_two_days(db: ControlDb, now: datetime) -> None:
    mail_id = queued(db, now)
    time, tries = now, 0
    while (mail := taken(db, time)) is not None:
        tries += 1
        with db.write() as session:
            given_up = mark_failed(session, mail, "no answer", time, for_good=False)
        assert given_up == (time - now >= timedelta(days=2))
        if not given_up:
            assert row(db, mail_id).not_before == time + rest_of_mail(tries)
            time = row(db, mail_id).not_before
    found = row(db, mail_id)
    assert (found.failed_at, found.body, found.error) == (time, None, "no answer")
    assert timedelta(days=2) <= time - now < timedelta(days=2, hours=1)
    assert [rest_of_mail(n).total_seconds() for n in (1, 2, 3, 50)] == [5, 10, 20, 3600]


def test_what_can_never_be_sent_is_given_up_at_once(db: ControlDb, now: datetime) -> None:
    mail_id = queued(db, now)
    mail = taken(db, now)
    assert mail is not None
    with db.write() as session:
        assert mark_failed(session, mail, "550 nobody", now, for_good=True)
    assert row(db, mail_id).failed_at == now
    with db.read() as session:
        assert not any_waits(session, now + timedelta(days=9))


def test_old_mails_are_forgotten_and_waiting_ones_are_not(db: ControlDb, now: datetime) -> None:
    sent, waiting = queued(db, now), queued(db, now + timedelta(seconds=1))
    mail = taken(db, now)
    assert mail is not None
    with db.write() as session:
        mark_sent(session, mail, now)
    with db.write() as session:
        remove_old_mails(session, now + timedelta(days=91))
        assert session.get(MailRow, sent) is None
        assert session.get(MailRow, waiting) is not None


def test_mails_of_a_stopped_shop_wait_and_those_of_no_shop_do_not(
    db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    blue, green = shops
    of_blue = queued(db, now, blue)
    suspend(db, blue)
    with db.read() as session:
        assert not any_waits(session, now)
    of_green, of_nobody = queued(db, now, green), queued(db, now)
    found = [taken(db, now), taken(db, now)]
    assert {mail.id for mail in found if mail is not None} == {of_green, of_nobody}
    assert taken(db, now) is None
    later = now + timedelta(days=5)
    with db.write() as session:
        session.get_one(TenantRow, blue.value).status = "active"
        for each in (of_green, of_nobody):
            session.get_one(MailRow, each).sent_at = now
    mail = taken(db, later)
    assert mail is not None and mail.id == of_blue
    with db.write() as session:  # it has waited for longer than mails are tried, and is tried all the same
        assert not mark_failed(session, mail, "no answer", later, for_good=False)


def suspend(db: ControlDb, tenant: TenantId) -> None:
    with db.write() as session:
        session.get_one(TenantRow, tenant.value).status = "suspended"
