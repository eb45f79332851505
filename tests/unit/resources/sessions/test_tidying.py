"""What nobody can use any more goes once a day, and what somebody can use stays."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from resources.access.actor import SYSTEM
from resources.base.errors import TooManyAttempts
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.base import Base
from resources.control_db.tables.people import InviteRow, OneTimeLinkRow
from resources.control_db.tables.sessions import LoginFailureRow, RefreshTokenRow, SessionRow, UnfinishedLoginRow
from resources.people.invites import invite
from resources.people.members import hold_member
from resources.people.one_time_links import new_link
from resources.sessions.browser_sessions import begin_browser_session
from resources.sessions.throttle import admit
from resources.sessions.tidying import AccountsKeeper
from resources.sessions.unfinished_logins import add_unfinished
from tests.unit.bento_service.people import BROWSER, logged_in, person

pytestmark = pytest.mark.databases
KINDS: tuple[type[Base], ...] = (
    InviteRow,
    LoginFailureRow,
    OneTimeLinkRow,
    RefreshTokenRow,
    SessionRow,
    UnfinishedLoginRow,
)


def counts(db: ControlDb) -> dict[str, int]:
    with db.read() as session:
        return {kind.__tablename__: session.scalar(select(func.count()).select_from(kind)) or 0 for kind in KINDS}


def leave_one_of_each(db: ControlDb, member_id: str, tenant: TenantId, now: datetime) -> None:
    logged_in(db, member_id, now=now)
    with db.write() as session:
        member = hold_member(session, member_id)
        new_link(session, member_id, "reset", now=now)
        invite(session, tenant, f"n{now:%d%H}@example.com", "viewer", by=SYSTEM, site_url="http://x.example", now=now)
        begin_browser_session(session, member, "customer", BROWSER, kept=True, now=now)
        add_unfinished(session, "code", {}, now=now)
        admit(session, f"f{now:%d%H}@example.com", BROWSER.address, now=now)


def test_what_is_over_goes_and_what_is_not_stays(
    db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime
) -> None:
    jane = person(db, "jane@example.com", now=now, tenant=shops[0])
    leave_one_of_each(db, jane.id, shops[0], now)
    before = counts(db)
    assert AccountsKeeper(db, lambda: now + timedelta(minutes=9)).keep()
    assert counts(db) == before and all(before.values())
    assert AccountsKeeper(db, lambda: now + timedelta(days=50)).keep()
    assert not any(counts(db).values())


def test_it_is_done_once_a_day_by_one(db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime) -> None:
    one, other = (AccountsKeeper(db, lambda: now) for _ in range(2))
    assert (one.keep(), other.keep(), one.keep()) == (True, False, False)
    assert AccountsKeeper(db, lambda: now + timedelta(days=1)).keep()


def test_whoever_rests_after_failures_still_does(db: ControlDb, now: datetime) -> None:
    with db.write() as session:
        for _ in range(5):
            admit(session, "jane@example.com", "192.0.2.9", now=now)
    AccountsKeeper(db, lambda: now + timedelta(minutes=1)).keep()
    with db.write() as session, pytest.raises(TooManyAttempts):
        admit(session, "jane@example.com", "192.0.2.9", now=now + timedelta(minutes=2))
