"""Memberships: one person in several shops, and an owner in each of them at any time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

import pytest
from sqlalchemy import select

from resources.access.actor import SYSTEM
from resources.access.roles import TenantRole
from resources.base.errors import Conflict, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.people.members import member_by_id, new_member, set_member_status
from resources.people.memberships import (
    add_membership,
    change_role,
    memberships_of,
    remove_membership,
    role_in,
    team_of,
)

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]


def joined(db: ControlDb, email: str, tenant: TenantId, role: TenantRole, now: datetime) -> str:
    with db.write() as session:
        row = new_member(session, email=email, name="", password_hash=None, verified=True, now=now)
        add_membership(session, row, tenant, role, by=SYSTEM, now=now)
        return row.id


def test_one_person_belongs_to_several_shops(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    member = joined(db, "jane@example.com", blue, "owner", now)
    with db.write() as session:
        row = member_by_id(session, member)
        add_membership(session, row, green, "viewer", by=SYSTEM, now=now)
        with pytest.raises(Conflict, match="belongs to green already"):
            add_membership(session, row, green, "admin", by=SYSTEM, now=now)
    with db.read() as session:
        assert [(each.tenant, each.role) for each in memberships_of(session, member)] == [
            (blue, "owner"),
            (green, "viewer"),
        ]
        assert [each.email for each in team_of(session, green)] == ["jane@example.com"]
        assert role_in(session, member, green) == "viewer"
        assert role_in(session, "mem-0", green) is None


def test_changes_are_in_the_shops_audit_log(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    joined(db, "jane@example.com", blue, "owner", now)
    member = joined(db, "john@example.com", blue, "viewer", now)
    with db.write() as session:
        change_role(session, member, blue, "admin", by=SYSTEM, now=now)
        remove_membership(session, member, blue, by=SYSTEM, now=now)
        with pytest.raises(NotFound):
            remove_membership(session, member, blue, by=SYSTEM, now=now)
    with db.read() as session:
        entries = session.scalars(select(AuditRow).where(AuditRow.object_id == member).order_by(AuditRow.seq)).all()
        assert [(each.chain, each.action, each.before, each.after) for each in entries] == [
            ("blue", "member.add", None, {"role": "viewer"}),
            ("blue", "member.role", {"role": "viewer"}, {"role": "admin"}),
            ("blue", "member.remove", {"role": "admin"}, None),
        ]


def test_the_last_owner_stays(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    owner = joined(db, "jane@example.com", blue, "owner", now)
    suspended = joined(db, "john@example.com", blue, "owner", now)
    with db.write() as session:
        set_member_status(session, suspended, "suspended", by=SYSTEM, now=now)
    for change in (
        lambda session: change_role(session, owner, blue, "admin", by=SYSTEM, now=now),
        lambda session: remove_membership(session, owner, blue, by=SYSTEM, now=now),
    ):
        with pytest.raises(Conflict, match="last owner"), db.write() as session:
            change(session)
    with db.write() as session:
        remove_membership(session, suspended, blue, by=SYSTEM, now=now)


def test_two_owners_who_leave_at_once_do_not_both_go(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, _ = shops
    owners = [joined(db, f"{name}@example.com", blue, "owner", now) for name in ("jane", "john")]
    together = Barrier(2)

    def leave(member: str) -> str:
        together.wait()
        try:
            with db.write() as session:
                remove_membership(session, member, blue, by=SYSTEM, now=now)
        except Conflict:
            return "stays"
        return "left"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, owners)) == ["left", "stays"]
