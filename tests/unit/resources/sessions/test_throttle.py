"""How often a log-in may fail: nobody guesses, and nobody keeps somebody else out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest

from resources.base.errors import TooManyAttempts
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.sessions.throttle import (
    ACCOUNT_FAILURES,
    ADDRESS_FAILURES,
    PAIR_FAILURES,
    SIGNUPS,
    Attempt,
    admit,
    count_signup,
    forget_failures,
    take_back,
)
from tests.unit.bento_service.people import BROWSER, person

pytestmark = pytest.mark.databases
JANE, HERE = "jane@example.com", "192.0.2.99"
MINUTE = timedelta(minutes=1)


def fail(db: ControlDb, now: datetime, email: str = JANE, address: str = HERE) -> Attempt:
    with db.write() as session:
        return admit(session, email, address, now=now)


def rest(db: ControlDb, now: datetime, email: str = JANE, address: str = HERE) -> int:
    """Seconds until the next attempt is looked at; 0 when it is now, which counts as a failure."""
    try:
        fail(db, now, email, address)
    except TooManyAttempts as error:
        return error.retry_after
    return 0


def test_five_failures_of_an_account_from_an_address(db: ControlDb, now: datetime) -> None:
    attempts = [fail(db, now + each * MINUTE) for each in range(PAIR_FAILURES)]
    assert [each.wait_seconds for each in attempts] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert rest(db, now + 4 * MINUTE) == 15 * 60
    assert rest(db, now + 18 * MINUTE) == 60
    assert rest(db, now + 19 * MINUTE) == 0
    assert rest(db, now, "john@example.com") == 0


def test_failures_of_more_than_15_minutes_ago_do_not_count(db: ControlDb, now: datetime) -> None:
    for each in range(20):
        assert rest(db, now + each * 4 * MINUTE) == 0


def test_a_right_password_begins_anew(db: ControlDb, now: datetime) -> None:
    for _ in range(10):
        for _ in range(PAIR_FAILURES - 1):
            fail(db, now)
        attempt = fail(db, now)
        with db.write() as session:
            forget_failures(session, attempt)
            now += 16 * MINUTE
    assert fail(db, now).failures == 1


def test_what_is_given_back_does_not_count(db: ControlDb, now: datetime) -> None:
    for _ in range(3 * ADDRESS_FAILURES):
        attempt = fail(db, now)
        with db.write() as session:
            take_back(session, attempt)
    assert fail(db, now).failures == 1


def test_twenty_failures_from_an_address(db: ControlDb, now: datetime) -> None:
    for each in range(ADDRESS_FAILURES):
        assert rest(db, now, f"user{each}@example.com") == 0
    assert rest(db, now, "another@example.com") == 15 * 60
    assert rest(db, now, "another@example.com", "198.51.100.1") == 0


def test_a_stranger_keeps_nobody_out(db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime) -> None:
    person(db, JANE, now=now, tenant=shops[0])
    for each in range(ACCOUNT_FAILURES):
        assert rest(db, now, address=f"198.51.100.{each}") == 0
    assert rest(db, now, address="198.51.100.200") == 60  # from everywhere, for a minute
    assert rest(db, now, address=BROWSER.address) == 0  # not from where she has logged in before
    for each in range(1, 100):  # however long it goes on, a minute at a time
        assert rest(db, now + each * MINUTE, address=f"203.0.113.{each}") == 0
        assert 0 < rest(db, now + each * MINUTE, address="198.51.100.200") <= 60
        if each % 20 == 0:
            assert rest(db, now + each * MINUTE, address=BROWSER.address) == 0


def test_colleagues_behind_one_address_do_not_stop_each_other(
    db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    person(db, JANE, now=now, tenant=shops[0])
    for each in range(ADDRESS_FAILURES):
        fail(db, now, f"user{each}@example.com", BROWSER.address)
    assert rest(db, now, "john@example.com", BROWSER.address) > 0
    assert rest(db, now, JANE, BROWSER.address) == 0


def test_many_at_once_are_no_more_than_one_after_the_other(db: ControlDb, now: datetime) -> None:
    together = Barrier(12)

    def ask(_: int) -> bool:
        together.wait()
        return rest(db, now) == 0

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(ask, range(12))) == PAIR_FAILURES


def test_signing_up_again_and_again(db: ControlDb, now: datetime) -> None:
    for _ in range(SIGNUPS):
        with db.write() as session:
            count_signup(session, HERE, now=now)
    with pytest.raises(TooManyAttempts), db.write() as session:
        count_signup(session, HERE, now=now)
    with db.write() as session:
        count_signup(session, HERE, now=now + 15 * MINUTE)
