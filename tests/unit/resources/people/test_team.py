"""The team of a shop, and the people of the platform: roles are given and taken by those above, and never the last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier, Event

import pytest
from sqlalchemy.orm import Session

from resources.access.roles import TenantRole, office_role
from resources.base.errors import Conflict, Forbidden, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.sessions import RefreshTokenRow
from resources.people import team
from resources.people.members import set_member_status, set_office_role
from resources.people.memberships import change_role, role_in, team_of
from resources.people.office import give_office_role, list_office, remove_from_office
from resources.people.team import create_user, give_role, leave_team, pass_ownership, remove_from_team
from tests.unit.resources.people.parts import BOSS, actions, made, mails, member

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]


def roles(db: ControlDb, tenant: TenantId) -> dict[str, str]:
    with db.read() as session:
        return {each.name: each.role for each in team_of(session, tenant)}


def test_an_admin_moves_those_who_are_not_above_them(db: ControlDb, shops: Shops, now: datetime) -> None:
    owner = made(db, "owner", now, tenant=shops[0], role="owner")
    jane = made(db, "jane", now, tenant=shops[0], role="viewer")
    with db.write() as session:
        give_role(session, shops[0], jane, "admin", own="admin", by=BOSS, now=now)
    assert roles(db, shops[0]) == {"owner": "owner", "jane": "admin"}
    with pytest.raises(Forbidden, match="above yours"), db.write() as session:
        give_role(session, shops[0], jane, "owner", own="admin", by=BOSS, now=now)
    with pytest.raises(Forbidden, match="above yours"), db.write() as session:
        give_role(session, shops[0], owner, "viewer", own="admin", by=BOSS, now=now)
    with pytest.raises(Forbidden, match="above yours"), db.write() as session:
        remove_from_team(session, shops[0], owner, own="admin", by=BOSS, now=now)
    assert roles(db, shops[0]) == {"owner": "owner", "jane": "admin"}


def test_whoever_is_removed_is_out_and_told(db: ControlDb, shops: Shops, now: datetime) -> None:
    jane = made(db, "jane", now, tenant=shops[0], role="editor")
    with db.write() as session:
        for number, tenant in enumerate(shops):
            token = RefreshTokenRow(
                token_hash=str(number), family=str(number), member_id=jane, member_version=1, tenant_id=tenant.value,
                address="", browser="", created_at=now, expires_at=now + timedelta(days=7),
            )  # fmt: skip
            session.add(token)
    with db.write() as session:
        remove_from_team(session, shops[0], jane, own="admin", by=BOSS, now=now)
    assert roles(db, shops[0]) == {}
    with db.read() as session:
        held = [session.get(RefreshTokenRow, str(number)) for number in range(2)]
    assert [token is not None and token.revoked_at for token in held] == [None, None]  # good for other shops
    assert [mail.subject for mail in mails(db, "jane@example.com")] == ["You do not belong to Blue any more"]
    assert actions(db, "blue")[-1] == "member.remove"
    with pytest.raises(NotFound), db.write() as session:
        remove_from_team(session, shops[0], jane, own="admin", by=BOSS, now=now)


@pytest.mark.parametrize("change", ["remove", "lower"])
def test_nobody_is_changed_who_has_just_been_raised_above_one(
    db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    made(db, "owner", now, tenant=shops[0], role="owner")
    jane = made(db, "jane", now, tenant=shops[0], role="viewer")
    read = Event()

    def note_read(session: Session, member_id: str, tenant: TenantId) -> TenantRole | None:
        found = role_in(session, member_id, tenant)
        read.set()
        return found

    monkeypatch.setattr(team, "role_in", note_read)

    def by_admin() -> None:
        with db.write() as session:
            if change == "remove":
                remove_from_team(session, shops[0], jane, own="admin", by=BOSS, now=now)
            else:
                give_role(session, shops[0], jane, "editor", own="admin", by=BOSS, now=now)

    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            change_role(session, jane, shops[0], "owner", by=BOSS, now=now)
            asked = pool.submit(by_admin)
            read.wait(0.5)  # nobody reads before this ends
        with pytest.raises(Forbidden, match="above yours"):
            asked.result()
    assert roles(db, shops[0]) == {"owner": "owner", "jane": "owner"}


def test_the_last_owner_stays(db: ControlDb, shops: Shops, now: datetime) -> None:
    owner = made(db, "owner", now, tenant=shops[0], role="owner")
    made(db, "jane", now, tenant=shops[0], role="admin")
    with pytest.raises(Conflict, match="last owner"), db.write() as session:
        leave_team(session, shops[0], owner, by=BOSS, now=now)
    with pytest.raises(Conflict, match="last owner"), db.write() as session:
        give_role(session, shops[0], owner, "admin", own="owner", by=BOSS, now=now)
    with pytest.raises(Conflict, match="last owner"), db.write() as session:
        remove_from_team(session, shops[0], owner, own="owner", by=BOSS, now=now)
    assert roles(db, shops[0]) == {"owner": "owner", "jane": "admin"}


def test_ownership_is_passed_on_and_then_its_owner_may_leave(db: ControlDb, shops: Shops, now: datetime) -> None:
    owner = made(db, "owner", now, tenant=shops[0], role="owner")
    jane = made(db, "jane", now, tenant=shops[0], role="viewer")
    stranger = made(db, "stranger", now, tenant=shops[1])
    with pytest.raises(NotFound), db.write() as session:
        pass_ownership(session, shops[0], owner, stranger, by=BOSS, now=now)
    with pytest.raises(InvalidInput), db.write() as session:
        pass_ownership(session, shops[0], owner, owner, by=BOSS, now=now)
    with db.write() as session:
        pass_ownership(session, shops[0], owner, jane, by=BOSS, now=now)
    assert roles(db, shops[0]) == {"owner": "admin", "jane": "owner"}
    with db.write() as session:
        leave_team(session, shops[0], owner, by=BOSS, now=now)
    assert roles(db, shops[0]) == {"jane": "owner"}


def test_nobody_suspended_becomes_an_owner(db: ControlDb, shops: Shops, now: datetime) -> None:
    owner = made(db, "owner", now, tenant=shops[0], role="owner")
    jane = made(db, "jane", now, tenant=shops[0], role="viewer")
    with db.write() as session:
        set_member_status(session, jane, "suspended", by=BOSS, now=now)
    with pytest.raises(Conflict, match="suspended"), db.write() as session:
        pass_ownership(session, shops[0], owner, jane, by=BOSS, now=now)


def test_a_user_is_made_but_nobody_who_is_there_is_taken_in(db: ControlDb, shops: Shops, now: datetime) -> None:
    with db.write() as session:
        new = create_user(session, shops[0], "new@example.com", name="", password_hash="h", by=BOSS, now=now)
    assert member(db, new.id).email_verified_at is None
    with pytest.raises(Conflict, match="send an invitation"), db.write() as session:
        create_user(session, shops[1], "new@example.com", name="", password_hash="x", by=BOSS, now=now)
    with db.read() as session:
        assert role_in(session, new.id, shops[1]) is None
    assert member(db, new.id).password_hash == "h"


def test_super_admins_who_lower_each_other_do_not_wait_in_a_circle(db: ControlDb, now: datetime) -> None:
    first, *others = (made(db, name, now) for name in ("first", "one", "two", "three"))
    with db.write() as session:
        for each in (first, *others):
            set_office_role(session, each, "super_admin", by=BOSS, now=now)
    together = Barrier(len(others))

    def lower_and_raise(member_id: str) -> None:
        for role in ("developer", "super_admin") * 10:
            together.wait(30)
            with db.write() as session:
                set_office_role(session, member_id, office_role(role), by=BOSS, now=now)

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lower_and_raise, others))
    with db.read() as session:
        assert len(list_office(session)) == 4


def test_the_last_super_admin_stays(db: ControlDb, now: datetime) -> None:
    one, two, plain = (made(db, name, now) for name in ("one", "two", "plain"))
    with db.write() as session:
        for each in (one, two):
            set_office_role(session, each, "super_admin", by=BOSS, now=now)
    with db.write() as session:
        remove_from_office(session, two, by=BOSS, now=now)
    assert (member(db, two).office_role, member(db, two).version) == (None, 2)
    with pytest.raises(Conflict), db.write() as session:
        remove_from_office(session, one, by=BOSS, now=now)
    with pytest.raises(Conflict), db.write() as session:
        give_office_role(session, one, "developer", by=BOSS, now=now)
    for nobody in (plain, two, "no-such-member"):
        with pytest.raises(NotFound), db.write() as session:
            give_office_role(session, nobody, "developer", by=BOSS, now=now)
    with db.read() as session:
        assert [each.email for each in list_office(session)] == ["one@example.com"]
