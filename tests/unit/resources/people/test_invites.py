"""Invitations: who gets one, what its link opens, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier

import pytest

from resources.access.roles import TenantRole
from resources.base.errors import Conflict, Forbidden, LinkExpired, LinkNotValid, NotFound, TooManyRequests
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import InviteRow
from resources.control_db.tenants import suspend_tenant
from resources.people.invites import (
    Invite,
    accept_as_member,
    accept_as_new,
    check_rank,
    find_invite,
    invite,
    invite_to_office,
    list_invites,
    resend_invite,
    revoke_invite,
)
from resources.people.members import set_member_status
from resources.people.memberships import remove_membership, role_in, team_of
from tests.unit.resources.people.parts import BOSS, SITE, WAY, actions, made, mails, member, token_in

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]
NEW = "new@example.com"


def invited(
    db: ControlDb, tenant: TenantId, now: datetime, email: str = NEW, role: TenantRole = "editor"
) -> tuple[Invite, str]:
    """Invite; return the invitation and the token of its link."""
    with db.write() as session:
        made, link = invite(session, tenant, email, role, by=BOSS, site_url=SITE, now=now)
    return made, link.rpartition("/")[2]


def accepted(db: ControlDb, token: str, now: datetime, name: str = "New") -> str:
    with db.write() as session:
        return accept_as_new(session, token, name=name, password_hash="hash", way=WAY, now=now).id


def test_an_invited_stranger_becomes_a_member_of_this_shop_alone(db: ControlDb, shops: Shops, now: datetime) -> None:
    one, token = invited(db, shops[0], now)
    (mail,) = mails(db, NEW)
    assert token_in(mail) == token
    assert "root invites you to Blue" in mail.subject
    with db.read() as session:
        shown = find_invite(session, token, now)
        assert session.get(InviteRow, one.id) is not None
        assert session.get(InviteRow, one.id).token_hash != token  # type: ignore[union-attr]
    assert (shown.place, shown.has_account, shown.invite.role, shown.invite.status) == ("Blue", False, "editor", "open")
    found = member(db, accepted(db, token, now))
    assert (found.email, found.name, found.password_hash, found.email_verified_at) == (NEW, "New", "hash", now)
    with db.read() as session:
        assert [role_in(session, found.id, tenant) for tenant in shops] == ["editor", None]
        assert list_invites(session, shops[0], now) == ()
    assert actions(db, "blue") == ["invite.create", "member.create", "invite.accept", "member.add"]


def test_a_link_opens_once(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, token = invited(db, shops[0], now)
    accepted(db, token, now)
    with pytest.raises(LinkNotValid):
        accepted(db, token, now)
    with db.read() as session, pytest.raises(LinkNotValid):
        find_invite(session, token, now)


def test_of_ten_who_open_it_at_once_one_comes_in(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, token = invited(db, shops[0], now)

    def accept(number: int) -> bool:
        try:
            accepted(db, token, now, f"New {number}")
        except LinkNotValid:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(accept, range(10))) == 1
    with db.read() as session:
        assert [each.email for each in team_of(session, shops[0])] == [NEW]


def test_a_link_ends_after_a_week(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, token = invited(db, shops[0], now)
    with db.read() as session:
        find_invite(session, token, now + timedelta(days=7, seconds=-1))
        (shown,) = list_invites(session, shops[0], now + timedelta(days=7))
        assert shown.status == "expired"
    with pytest.raises(LinkExpired):
        accepted(db, token, now + timedelta(days=7))


def test_a_member_accepts_what_is_for_their_address_alone(db: ControlDb, shops: Shops, now: datetime) -> None:
    jane, other = made(db, "jane", now, tenant=shops[1]), made(db, "other", now)
    _, token = invited(db, shops[0], now, "jane@example.com", "viewer")
    with db.read() as session:
        assert find_invite(session, token, now).has_account
    with pytest.raises(Conflict, match="already"):
        accepted(db, token, now)
    with pytest.raises(Forbidden, match="another address"), db.write() as session:
        accept_as_member(session, token, other, way=WAY, now=now)
    with db.write() as session:
        accept_as_member(session, token, jane, way=WAY, now=now)
    with db.read() as session:
        assert [role_in(session, jane, tenant) for tenant in shops] == ["viewer", "admin"]
    with pytest.raises(Conflict, match="change the role"):
        invited(db, shops[0], now, "jane@example.com", "admin")


def test_nobody_accepts_who_is_suspended_or_where_the_shop_is(db: ControlDb, shops: Shops, now: datetime) -> None:
    jane = made(db, "jane", now)
    _, token = invited(db, shops[0], now, "jane@example.com")
    with db.write() as session:
        set_member_status(session, jane, "suspended", by=BOSS, now=now)
    with pytest.raises(Forbidden, match="suspended"), db.write() as session:
        accept_as_member(session, token, jane, way=WAY, now=now)
    _, of_new = invited(db, shops[1], now)
    suspend_tenant(db, shops[1])
    with pytest.raises(Forbidden, match="suspended"):
        accepted(db, of_new, now)


def test_what_was_taken_back_or_sent_again_opens_nothing(db: ControlDb, shops: Shops, now: datetime) -> None:
    one, first = invited(db, shops[0], now)
    with db.write() as session:
        again, link = resend_invite(session, shops[0], one.id, by=BOSS, site_url=SITE, now=now + timedelta(days=6))
    assert again.expires_at == now + timedelta(days=13)
    with pytest.raises(LinkNotValid):
        accepted(db, first, now)
    for _ in range(2):
        with db.write() as session:
            assert revoke_invite(session, shops[0], one.id, by=BOSS, now=now).status == "revoked"
    with pytest.raises(LinkNotValid):
        accepted(db, link.rpartition("/")[2], now)
    with pytest.raises(Conflict, match="invite the address anew"), db.write() as session:
        resend_invite(session, shops[0], one.id, by=BOSS, site_url=SITE, now=now)
    assert actions(db, "blue") == ["invite.create", "invite.resend", "invite.revoke"]


def test_a_second_invitation_takes_the_first_one_back(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, first = invited(db, shops[0], now)
    two, second = invited(db, shops[0], now, role="viewer")
    with db.read() as session:
        assert [each.id for each in list_invites(session, shops[0], now)] == [two.id]
        with pytest.raises(LinkNotValid):
            find_invite(session, first, now)
        assert find_invite(session, second, now).invite.role == "viewer"
    assert actions(db, "blue") == ["invite.create", "invite.revoke", "invite.create"]


def test_who_accepts_and_who_invites_anew_do_not_wait_in_a_circle(db: ControlDb, shops: Shops, now: datetime) -> None:
    jane, together = made(db, "jane", now), Barrier(2)

    def accept(token: str, at: datetime) -> None:
        together.wait(30)
        with suppress(LinkNotValid), db.write() as session:
            accept_as_member(session, token, jane, way=WAY, now=at)

    def invite_again(at: datetime) -> None:
        together.wait(30)
        with suppress(Conflict):
            invited(db, shops[0], at, "jane@example.com")

    with ThreadPoolExecutor(2) as pool:
        for hour in range(20):
            at = now + timedelta(hours=hour)
            _, token = invited(db, shops[0], at, "jane@example.com")
            for each in (pool.submit(accept, token, at), pool.submit(invite_again, at)):
                each.result()
            with suppress(NotFound), db.write() as session:
                remove_membership(session, jane, shops[0], by=BOSS, now=at)


def test_the_invitation_of_another_shop_is_not_found(db: ControlDb, shops: Shops, now: datetime) -> None:
    one, _ = invited(db, shops[0], now)
    with pytest.raises(NotFound), db.write() as session:
        revoke_invite(session, shops[1], one.id, by=BOSS, now=now)
    with pytest.raises(NotFound), db.write() as session:
        revoke_invite(session, None, one.id, by=BOSS, now=now)
    with pytest.raises(NotFound), db.write() as session:
        resend_invite(session, shops[1], one.id, by=BOSS, site_url=SITE, now=now)


def test_nobody_fills_a_mailbox_with_invitations(db: ControlDb, shops: Shops, now: datetime) -> None:
    for _ in range(5):
        invited(db, shops[0], now)
    with pytest.raises(TooManyRequests):
        invited(db, shops[0], now)
    assert len(mails(db, NEW)) == 5
    invited(db, shops[0], now + timedelta(minutes=61))
    invited(db, shops[0], now, "another@example.com")


def test_the_office_invites_into_the_office(db: ControlDb, shops: Shops, now: datetime) -> None:
    with db.write() as session:
        one, link = invite_to_office(session, NEW, "super_admin", by=BOSS, site_url=SITE, now=now)
        assert one.tenant is None
    found = member(db, accepted(db, link.rpartition("/")[2], now))
    assert (found.office_role, found.email_verified_at) == ("super_admin", now)
    with db.read() as session:
        assert team_of(session, shops[0]) == ()
    with pytest.raises(Conflict, match="already"), db.write() as session:
        invite_to_office(session, NEW, "super_admin", by=BOSS, site_url=SITE, now=now)


@pytest.mark.parametrize("own", ["viewer", "editor", "admin", "owner"])
def test_nobody_gives_a_role_above_their_own(own: TenantRole) -> None:
    given: Callable[[TenantRole], bool] = lambda role: _allowed(own, role)  # noqa: E731
    roles: tuple[TenantRole, ...] = ("viewer", "editor", "admin", "owner")
    assert [role for role in roles if given(role)] == list(roles[: roles.index(own) + 1])


def _allowed(own: TenantRole, role: TenantRole) -> bool:
    try:
        check_rank(own, role)
    except Forbidden:
        return False
    return True
