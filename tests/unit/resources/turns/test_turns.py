"""Turns at recurring work, and work that is done once a day by them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from resources.control_db.engine import ControlDb
from resources.jobs.daily import LEASE, once_a_day
from resources.turns.turns import end_turn, hold_turn

pytestmark = pytest.mark.databases


def taken(db: ControlDb, holder: str, now: datetime, minutes: int = 10) -> bool:
    with db.write() as session:
        return hold_turn(session, "work", holder, until=now + timedelta(minutes=minutes), now=now)


def test_one_holds_it_until_it_is_given_back_or_over(db: ControlDb, now: datetime) -> None:
    assert taken(db, "a", now) and taken(db, "a", now) and not taken(db, "b", now)
    with db.write() as session:
        end_turn(session, "work", "b", until=now)  # it is not b's to give back
    assert not taken(db, "b", now)
    with db.write() as session:
        end_turn(session, "work", "a", until=now + timedelta(minutes=5))
    assert not taken(db, "b", now + timedelta(minutes=4)) and taken(db, "b", now + timedelta(minutes=5))
    assert taken(db, "a", now + timedelta(minutes=15))


def test_work_of_a_day_is_done_again_on_the_next(db: ControlDb, now: datetime) -> None:
    done: list[datetime] = []
    midnight = now.replace(hour=0, minute=0) + timedelta(days=1)
    times = (now, now, midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=23))
    for at in times:
        once_a_day(db, "it", at, lambda at=at: done.append(at))  # type: ignore[misc]
    assert done == [now, midnight]
    assert once_a_day(db, "another", now, lambda: None)


def test_work_that_broke_off_is_done_after_its_lease(db: ControlDb, now: datetime) -> None:
    with pytest.raises(ZeroDivisionError):
        once_a_day(db, "it", now, lambda: 1 // 0)
    assert not once_a_day(db, "it", now + LEASE - timedelta(seconds=1), lambda: None)
    assert once_a_day(db, "it", now + LEASE, lambda: None)


def test_whoever_takes_longer_than_the_lease_does_not_end_the_turn_of_the_next(db: ControlDb, now: datetime) -> None:
    inner: list[bool] = []

    def slow() -> None:
        def of_the_next() -> None:
            inner.append(True)

        once_a_day(db, "it", now + LEASE, of_the_next)

    once_a_day(db, "it", now, slow)
    assert inner == [True] and not once_a_day(db, "it", now + LEASE * 2, lambda: None)
