"""Two who change the same plan, exception or wish at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from threading import Event
from time import monotonic

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow
from resources.databases.opening import is_postgresql
from resources.plans.assigned import Override, list_overrides, put_override
from resources.plans.model import PlanLimits
from resources.plans.requests import ask_for_plan
from tests.unit.resources.plans.test_plans import BY, Shops, add_member, put

pytestmark = pytest.mark.databases


def _put_plan(session: Session, tenant: TenantId, now: datetime) -> None:
    put(session, PlanLimits(calls=10), now)


def _put_override(session: Session, tenant: TenantId, now: datetime) -> None:
    put_override(session, tenant, Override("calls", 70, "why", None, now, ""), by=BY, now=now)


def _ask(session: Session, tenant: TenantId, now: datetime) -> None:
    with suppress(Conflict):  # it was asked for a moment ago
        ask_for_plan(session, tenant, "shop", note="", by=BY, now=now)


@pytest.mark.parametrize("change", [_put_plan, _put_override, _ask])
def test_two_at_once_are_as_two_one_after_the_other(
    db: ControlDb, shops: Shops, now: datetime, change: Callable[[Session, TenantId, datetime], None]
) -> None:
    """The second one comes while the first one has not committed, and waits for it."""
    begun, blue = Event(), shops[0]
    with db.write() as session:
        add_member(session, None, "boss@example.com", "super_admin", now)

    def second() -> None:
        begun.set()
        with db.write() as session:
            change(session, blue, now)

    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            change(session, blue, now)
            session.flush()
            other = pool.submit(second)
            assert begun.wait(30)
            if is_postgresql(db.engine):
                _wait_for_a_waiting_one(db)
        other.result(30)
    with db.read() as session:
        mails = session.scalars(select(MailRow)).all()
        plans = session.scalars(select(AuditRow.action).where(AuditRow.action == "plan.put")).all()
        assert (len(mails), len(plans), len(list_overrides(session, blue))) == (
            *(int(change is _ask), int(change is _put_plan)),
            int(change is _put_override),
        )


def _wait_for_a_waiting_one(db: ControlDb) -> None:
    until = monotonic() + 30
    waiting = text(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    )
    while monotonic() < until:
        with db.read() as session:
            if session.scalar(waiting):
                return
    raise AssertionError("nobody waits")
