"""Seats of a shop's plan: whichever way somebody comes in, there is one for them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from resources.base.errors import Conflict, Forbidden, QuotaExceeded, SsoRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MemberRow
from resources.control_db.tenants import change_settings
from resources.people import invites
from resources.people.invites import invite, list_invites, resend_invite
from resources.people.members import member_by_id
from resources.people.memberships import add_membership, team_of
from resources.people.team import create_user
from resources.plans.assigned import put_on_plan
from resources.plans.model import Plan, PlanLimits
from resources.plans.plans import put_plan
from resources.sessions.refresh_tokens import LoginClient
from resources.sessions.sso_login import Identity, log_in_to_shop
from tests.unit.resources.people.parts import BOSS, SITE, actions, made

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]
CLIENT = LoginClient(address="192.0.2.1", browser="a test")
WEEK = timedelta(days=7)


def give_seats(db: ControlDb, tenant: TenantId, seats: int, now: datetime) -> None:
    with db.write() as session:
        put_plan(session, Plan(id="mine", name="Mine", limits=PlanLimits(seats=seats)), by=BOSS, now=now)
        put_on_plan(session, tenant, "mine", by=BOSS, now=now)


def invited(db: ControlDb, tenant: TenantId, email: str, now: datetime) -> str:
    with db.write() as session:
        return invite(session, tenant, email, "viewer", by=BOSS, site_url=SITE, now=now)[0].id


def make_user(db: ControlDb, tenant: TenantId, email: str, now: datetime) -> None:
    with db.write() as session:
        row = create_user(session, tenant, email, name="", password_hash="h", by=BOSS, now=now)
        add_membership(session, row, tenant, "editor", by=BOSS, now=now)


def come_by_sso(db: ControlDb, tenant: TenantId, name: str, now: datetime) -> str:
    change_settings(db, tenant, {"login.sso": True, "login.sso_domains": ["example.com"]}, now=now)
    who = Identity("https://id.example.com", name, f"{name}@example.com", email_verified=True)
    return log_in_to_shop(db, who, tenant, lambda session, member, shop: member.id, CLIENT, now=now)


def team(db: ControlDb, tenant: TenantId) -> dict[str, str]:
    with db.read() as session:
        return {each.email: each.role for each in team_of(session, tenant)}


def test_an_account_that_is_made_takes_a_seat(db: ControlDb, shops: Shops, now: datetime) -> None:
    give_seats(db, shops[0], 1, now)
    make_user(db, shops[0], "one@example.com", now)
    with pytest.raises(QuotaExceeded):
        make_user(db, shops[0], "two@example.com", now)
    make_user(db, shops[1], "two@example.com", now)
    assert team(db, shops[0]) == {"one@example.com": "editor"}


def test_an_account_takes_the_seat_of_its_invitation(db: ControlDb, shops: Shops, now: datetime) -> None:
    give_seats(db, shops[0], 1, now)
    invited(db, shops[0], "one@example.com", now)
    make_user(db, shops[0], "one@example.com", now)
    with db.read() as session:
        assert list_invites(session, shops[0], now) == ()
    assert "invite.revoke" in actions(db, "blue")


def test_who_comes_by_sso_takes_a_seat(db: ControlDb, shops: Shops, now: datetime) -> None:
    give_seats(db, shops[0], 1, now)
    come_by_sso(db, shops[0], "one", now)
    with pytest.raises(SsoRefused, match="seats"):
        come_by_sso(db, shops[0], "two", now)
    come_by_sso(db, shops[0], "one", now)  # who is in has one
    assert list(team(db, shops[0])) == ["one@example.com"]


def test_who_was_invited_and_comes_by_sso_has_accepted(db: ControlDb, shops: Shops, now: datetime) -> None:
    give_seats(db, shops[0], 1, now)
    invited(db, shops[0], "one@example.com", now)
    come_by_sso(db, shops[0], "one", now)
    assert team(db, shops[0]) == {"one@example.com": "viewer"}
    with db.read() as session:
        assert list_invites(session, shops[0], now) == ()
    told = [each for each in actions(db, "blue") if not each.startswith(("settings", "quota", "plan"))]
    wanted = ["invite.create", "member.create", "invite.accept", "member.add", "session.begin"]
    assert [each for each in told if each in wanted] == wanted
    with db.read() as session:  # the platform's chain comes after the shop's, as everywhere
        assert session.scalars(select(AuditRow.action).order_by(AuditRow.seq.desc())).first() == "member.sso"


def test_an_invitation_whose_time_is_over_needs_a_seat_again(db: ControlDb, shops: Shops, now: datetime) -> None:
    give_seats(db, shops[0], 1, now)
    one = invited(db, shops[0], "one@example.com", now)
    with db.write() as session:  # while it is open, the seat is its own
        resend_invite(session, shops[0], one, by=BOSS, site_url=SITE, now=now)
    invited(db, shops[0], "two@example.com", now + WEEK)
    with pytest.raises(QuotaExceeded), db.write() as session:
        resend_invite(session, shops[0], one, by=BOSS, site_url=SITE, now=now + WEEK)


def test_an_invitation_whose_time_is_over_is_one_more(
    db: ControlDb, shops: Shops, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invites, "MAX_OPEN", 1)
    one = invited(db, shops[0], "one@example.com", now)
    invited(db, shops[0], "two@example.com", now + WEEK)
    with pytest.raises(Conflict, match="are open"), db.write() as session:
        resend_invite(session, shops[0], one, by=BOSS, site_url=SITE, now=now + WEEK)


def test_whose_own_address_is_not_verified_invites_nobody(db: ControlDb, shops: Shops, now: datetime) -> None:
    jane = made(db, "jane", now, tenant=shops[0])
    by = CLIENT.actor(_unverified(db, jane))
    with pytest.raises(Forbidden, match="verify/resend"), db.write() as session:
        invite(session, shops[0], "new@example.com", "viewer", by=by, site_url=SITE, now=now)
    one = invited(db, shops[0], "new@example.com", now)
    with pytest.raises(Forbidden, match="verify/resend"), db.write() as session:
        resend_invite(session, shops[0], one, by=by, site_url=SITE, now=now)
    with db.write() as session:
        member_by_id(session, jane).email_verified_at = now
    with db.write() as session:
        invite(session, shops[0], "new@example.com", "viewer", by=by, site_url=SITE, now=now)


def _unverified(db: ControlDb, member_id: str) -> MemberRow:
    with db.write() as session:
        row = member_by_id(session, member_id)
        row.email_verified_at = None
        return row
