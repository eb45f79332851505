"""Refresh tokens: each is used once, a copied one ends its family, and ten requests at once do not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select

from resources.access.actor import SYSTEM
from resources.base.errors import Forbidden, Unauthenticated
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.sessions import RefreshTokenRow
from resources.people.members import end_everything, hold_member, set_member_status
from resources.people.memberships import remove_membership
from resources.sessions.open_sessions import end_other_sessions, end_session, open_sessions
from resources.sessions.refresh_tokens import FAMILY_DAYS, GRACE_SECONDS, REFRESH_DAYS, log_out, refresh
from tests.unit.bento_service.people import BROWSER, Person, logged_in, person

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]
ELSEWHERE = replace(BROWSER, address="198.51.100.7")


@pytest.fixture
def jane(db: ControlDb, shops: Shops, now: datetime) -> Person:
    return person(db, "jane@example.com", now=now, tenant=shops[0])


def works(db: ControlDb, token: str, now: datetime) -> bool:
    try:
        refresh(db, token, BROWSER, now=now)
    except Unauthenticated:
        return False
    return True


def test_a_token_is_exchanged_and_only_hashes_are_stored(db: ControlDb, jane: Person, now: datetime) -> None:
    after = refresh(db, jane.refresh_token, BROWSER, now=now)
    assert after.token != jane.refresh_token
    assert (after.family, after.member.id) == (jane.family, jane.id)
    with db.read() as session:
        stored = session.scalars(select(RefreshTokenRow)).all()
    assert not [row for row in stored if {after.token, jane.refresh_token} & set(map(str, row.__dict__.values()))]
    assert works(db, after.token, now + timedelta(days=REFRESH_DAYS, seconds=-1))
    assert not works(db, after.token + "x", now)


def test_a_token_runs_out(db: ControlDb, jane: Person, now: datetime) -> None:
    assert not works(db, jane.refresh_token, now + timedelta(days=REFRESH_DAYS))


def test_a_token_that_comes_again_later_ends_its_family(db: ControlDb, jane: Person, now: datetime) -> None:
    after = refresh(db, jane.refresh_token, BROWSER, now=now)
    assert not works(db, jane.refresh_token, now + timedelta(seconds=GRACE_SECONDS + 1))
    assert not works(db, after.token, now + timedelta(seconds=GRACE_SECONDS + 1))
    with db.read() as session:
        assert session.scalars(select(AuditRow.action).order_by(AuditRow.seq.desc())).first() == "session.replay"


def test_within_the_grace_the_address_counts(db: ControlDb, jane: Person, now: datetime) -> None:
    first = refresh(db, jane.refresh_token, BROWSER, now=now)
    sibling = refresh(db, jane.refresh_token, BROWSER, now=now + timedelta(seconds=GRACE_SECONDS))
    assert sibling.family == first.family
    with pytest.raises(Unauthenticated):
        refresh(db, jane.refresh_token, ELSEWHERE, now=now + timedelta(seconds=1))
    assert not works(db, first.token, now)
    assert not works(db, sibling.token, now)


def test_another_family_of_the_person_goes_on(db: ControlDb, jane: Person, now: datetime) -> None:
    other = logged_in(db, jane.id, now=now)
    refresh(db, jane.refresh_token, BROWSER, now=now)
    assert not works(db, jane.refresh_token, now + timedelta(minutes=1))
    assert works(db, other.refresh_token, now)


def test_ten_refreshes_at_once_are_one_client(db: ControlDb, jane: Person, now: datetime) -> None:
    together = Barrier(10)

    def ask(number: int) -> str:
        together.wait()
        return refresh(db, jane.refresh_token, BROWSER, now=now + timedelta(milliseconds=number)).token

    with ThreadPoolExecutor(10) as pool:
        tokens = list(pool.map(ask, range(10)))
    assert len(set(tokens)) == 10
    assert all(works(db, token, now + timedelta(minutes=1)) for token in tokens)


def test_nothing_is_handed_out_beside_the_end_of_a_family(db: ControlDb, jane: Person, now: datetime) -> None:
    """A thief shows a used token while its owner refreshes: whoever comes first, no token of the family is left."""
    current = refresh(db, jane.refresh_token, BROWSER, now=now).token
    later = now + timedelta(minutes=1)
    together = Barrier(2)

    def ask(token: str) -> str | None:
        together.wait()
        try:
            return refresh(db, token, BROWSER, now=later).token
        except Unauthenticated:
            return None

    with ThreadPoolExecutor(2) as pool:
        tokens = list(pool.map(ask, (jane.refresh_token, current)))
    assert tokens[0] is None
    with db.read() as session:
        alive = select(func.count()).select_from(RefreshTokenRow).where(RefreshTokenRow.revoked_at.is_(None))
        assert session.scalar(alive) == 0


def test_what_ends_with_the_person(db: ControlDb, jane: Person, now: datetime) -> None:
    with db.write() as session:
        end_everything(hold_member(session, jane.id))
    assert not works(db, jane.refresh_token, now)
    again = logged_in(db, jane.id, now=now)
    with db.write() as session:
        set_member_status(session, jane.id, "suspended", by=SYSTEM, now=now)
        set_member_status(session, jane.id, "active", by=SYSTEM, now=now)
    assert not works(db, again.refresh_token, now)


def test_who_left_a_shop_gets_no_token_for_it(db: ControlDb, shops: Shops, jane: Person, now: datetime) -> None:
    blue, green = shops
    person(db, "john@example.com", now=now, tenant=blue)
    with pytest.raises(Forbidden, match="do not belong to green"):
        refresh(db, jane.refresh_token, BROWSER, tenant=green, now=now)
    with db.write() as session:
        remove_membership(session, jane.id, blue, by=SYSTEM, now=now)
    assert refresh(db, jane.refresh_token, BROWSER, now=now).membership is None


def test_sessions_are_listed_and_end(db: ControlDb, jane: Person, now: datetime) -> None:
    others = [logged_in(db, jane.id, now=now + timedelta(seconds=each)) for each in (1, 2)]
    refresh(db, jane.refresh_token, BROWSER, now=now + timedelta(minutes=1))
    with db.read() as session:
        listed = open_sessions(session, jane.id, now=now)
    assert [each.id for each in listed] == [jane.family, others[1].family, others[0].family]
    assert (listed[0].created_at, listed[0].last_used_at) == (now, now + timedelta(minutes=1))
    with db.write() as session:
        end_session(session, jane.id, others[0].family, by=SYSTEM, now=now)
    assert not works(db, others[0].refresh_token, now)
    with db.write() as session:
        assert end_other_sessions(session, jane.id, jane.family, by=SYSTEM, now=now) == 1
    log_out(db, jane.refresh_token, BROWSER, now=now)
    with db.read() as session:
        assert open_sessions(session, jane.id, now=now) == ()


def test_a_log_in_ends_after_thirty_days_however_often_it_is_used(db: ControlDb, jane: Person, now: datetime) -> None:
    token, end = jane.refresh_token, now + timedelta(days=FAMILY_DAYS)
    for day in range(6, FAMILY_DAYS, 6):
        token = refresh(db, token, BROWSER, now=now + timedelta(days=day)).token
    token = refresh(db, token, BROWSER, now=end - timedelta(minutes=1)).token
    with db.read() as session:
        newest = session.scalar(select(func.max(RefreshTokenRow.expires_at)))
    assert newest == end
    assert not works(db, token, end)
    assert works(db, logged_in(db, jane.id, now=end).refresh_token, end)
