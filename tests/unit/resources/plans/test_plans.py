"""Plans, exceptions, what is used, what is refused and who is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.base.errors import Conflict, InvalidInput, NotFound, NotInPlan, QuotaExceeded, QuotaUsedUp
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import InviteRow, MailRow, MemberRow, MembershipRow
from resources.control_db.tables.plans import UsageRow, UsageSampleRow
from resources.control_db.tenants import change_settings, get_tenant
from resources.people.invites import invite
from resources.plans.allowances import allowance_of
from resources.plans.assigned import Override, list_overrides, put_on_plan, put_override, remove_override
from resources.plans.checks import check_feature, check_room, check_seat, check_stored, check_training
from resources.plans.effects import effect_of
from resources.plans.model import DEFAULT_PLAN, Meter, Plan, PlanLimits
from resources.plans.month import Month
from resources.plans.plans import find_plan, list_plans, put_plan, shipped_plans
from resources.plans.requests import ask_for_plan, open_request
from resources.plans.use import MeterUse, use_of
from resources.plans.warnings import note_shares
from resources.tenancy.provisioning import NewTenant, TenantEdit, edit_tenant, insert_tenant

pytestmark = pytest.mark.databases
BY = Actor(kind="office", id="m1", name="boss@example.com", source="api")
Shops = tuple[TenantId, TenantId]


def add_usage(session: Session, tenant: TenantId, day: date, *, calls: int = 0, events: int = 0, ms: int = 0) -> None:
    session.add(
        UsageRow(
            tenant_id=tenant.value,
            day=day,
            key_id="",
            operation="recommend",
            status="2xx",
            calls=calls,
            recommended_items=0,
            events=events,
            uploaded_rows=0,
            training_ms=ms,
            cpu_ms=0,
        )
    )


def add_member(session: Session, tenant: TenantId | None, email: str, role: str, now: datetime) -> None:
    office = role if tenant is None else None
    row = MemberRow(id=email, email=email, name="", status="active", office_role=office, version=1, created_at=now)
    session.add(row)
    session.flush()
    if tenant is not None:
        session.add(MembershipRow(member_id=email, tenant_id=tenant.value, role=role, created_at=now))


def put(session: Session, limits: PlanLimits, now: datetime, *, id: str = "mine", **more: object) -> Plan:
    plan = Plan(id=id, name="Mine", limits=limits, **more)
    put_plan(session, plan, by=BY, now=now)
    return plan


def uses(db: ControlDb, tenant: TenantId, now: datetime) -> dict[Meter, MeterUse]:
    with db.read() as session:
        return {use.meter: use for use in use_of(session, allowance_of(session, tenant, now=now), now=now)}


def test_a_tenant_that_was_never_put_on_a_plan_has_no_limit(db: ControlDb, shops: Shops, now: datetime) -> None:
    with db.read() as session:
        allowance = allowance_of(session, shops[0], now=now)
        assert (allowance.plan.id, allowance.limited, allowance.limits.requests_per_second) == (DEFAULT_PLAN, (), None)
        assert allowance.has("two_tower")
        assert [plan.id for plan in list_plans(session)] == ["business", "free", "shop", "unlimited"]


def test_a_changed_plan_holds_for_whoever_is_on_it_and_is_audited(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    with db.write() as session:
        put_on_plan(session, blue, "free", by=BY, now=now)
        put_plan(session, shipped_plans()["free"].model_copy(update={"limits": PlanLimits(calls=7)}), by=BY, now=now)
    with db.read() as session:
        assert allowance_of(session, blue, now=now).limits == PlanLimits(calls=7)
        assert allowance_of(session, green, now=now).limits == PlanLimits()
        found = [(row.chain, row.action) for row in session.scalars(select(AuditRow).order_by(AuditRow.seq))]
        assert found[-2:] == [("blue", "tenant.plan"), ("_platform", "plan.put")]
        with pytest.raises(NotFound, match="business, free, shop, unlimited"):
            find_plan(session, "none")


def test_an_exception_holds_until_it_ends(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    ends = now + timedelta(days=1)
    with db.write() as session:
        put_on_plan(session, blue, "free", by=BY, now=now)
        put_override(session, blue, Override("calls", 99, "a sale", ends, now, ""), by=BY, now=now)
        put_override(session, blue, Override("items", None, "a friend", None, now, ""), by=BY, now=now)
        put_override(session, blue, Override("requests_per_second", 2.5, "slow", None, now, ""), by=BY, now=now)
    with db.read() as session:
        limits = allowance_of(session, blue, now=now).limits
        assert (limits.calls, limits.items, limits.requests_per_second, limits.seats) == (99, None, 2.5, 2)
        assert allowance_of(session, blue, now=ends).limits.calls == 10_000
        assert allowance_of(session, green, now=now).limits.calls is None
        assert [each.meter for each in list_overrides(session, blue)] == ["calls", "items", "requests_per_second"]
    with db.write() as session:
        remove_override(session, blue, "items", by=BY, now=now)
    with db.read() as session:
        assert allowance_of(session, blue, now=now).limits.items == 1_000


@pytest.mark.parametrize(
    "wrong",
    [
        Override("speed", 1, "why", None, datetime(2025, 1, 1, tzinfo=UTC), ""),
        Override("calls", -1, "why", None, datetime(2025, 1, 1, tzinfo=UTC), ""),
        Override("calls", 1.5, "why", None, datetime(2025, 1, 1, tzinfo=UTC), ""),
        Override("requests_per_second", 0, "why", None, datetime(2025, 1, 1, tzinfo=UTC), ""),
        Override("calls", 1, "  ", None, datetime(2025, 1, 1, tzinfo=UTC), ""),
        Override("calls", 1, "why", datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), ""),
    ],
)
def test_a_wrong_exception_is_refused(db: ControlDb, shops: Shops, now: datetime, wrong: Override) -> None:
    with db.write() as session, pytest.raises(InvalidInput):
        put_override(session, shops[0], wrong, by=BY, now=now)


def test_what_is_used_is_of_this_month_and_of_this_tenant(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    now = datetime(2025, 6, 16, tzinfo=UTC)
    with db.write() as session:
        put(session, PlanLimits(calls=100, events=1_000, training_minutes=10, seats=5, items=10), now)
        put_on_plan(session, blue, "mine", by=BY, now=now)
        add_usage(session, blue, date(2025, 5, 31), calls=1_000, events=1_000)
        add_usage(session, blue, date(2025, 6, 1), calls=30, events=5, ms=119_000)
        add_usage(session, blue, date(2025, 6, 16), calls=15)
        add_usage(session, green, date(2025, 6, 1), calls=500)
        session.add(UsageSampleRow(tenant_id="blue", day=date(2025, 6, 15), kind="items", amount=9))
        session.add(UsageSampleRow(tenant_id="blue", day=date(2025, 6, 15), kind="bytes:uploads", amount=4096))
        add_member(session, blue, "a@example.com", "owner", now)
        for token, ends in (("open", now + timedelta(days=1)), ("over", now - timedelta(days=1))):
            session.add(
                InviteRow(
                    id=token,
                    tenant_id="blue",
                    email="b@example.com",
                    role="viewer",
                    token_hash=token,
                    invited_by="a",
                    created_at=now,
                    expires_at=ends,
                )
            )
    found = uses(db, blue, now)
    assert {meter: use.used for meter, use in found.items()} == {
        "calls": 45,
        "events": 5,
        "training_minutes": 1,
        "items": 9,
        "users": 0,
        "storage_bytes": 4096,
        "rows": 0,
        "seats": 2,
    }
    calls = found["calls"]
    assert (calls.percent, calls.forecast, calls.full_at, calls.share) == (45.0, 90, None, None)  # half the month
    assert found["items"].as_of == date(2025, 6, 15)
    assert (found["items"].share, found["users"].amount) == (80, None)


def test_the_day_is_named_on_which_a_limit_will_be_reached() -> None:
    month = Month.at(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert (month.name, month.ends_at) == ("2025-12", datetime(2026, 1, 1, tzinfo=UTC))
    assert month.seconds_left(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)) == 2


def test_a_forecast_that_goes_over_names_its_time(db: ControlDb, shops: Shops) -> None:
    now = datetime(2025, 6, 11, tzinfo=UTC)  # 10 of 30 days
    with db.write() as session:
        put(session, PlanLimits(calls=100), now)
        put_on_plan(session, shops[0], "mine", by=BY, now=now)
        add_usage(session, shops[0], date(2025, 6, 3), calls=50)
    calls = uses(db, shops[0], now)["calls"]
    assert (calls.forecast, calls.full_at) == (150, datetime(2025, 6, 21, tzinfo=UTC))


def test_each_limit_does_at_100_percent_what_the_plan_says(db: ControlDb, shops: Shops, now: datetime) -> None:
    with db.write() as session:
        at_limit = {"calls": "wait", "events": "bill"}
        put(session, PlanLimits(calls=10, events=10, training_minutes=10, rows=10), now, at_limit=at_limit)
        put_on_plan(session, shops[0], "mine", by=BY, now=now)
    with db.read() as session:
        allowance = allowance_of(session, shops[0], now=now)
    check_room(allowance, "calls", 9, 1, now=now)
    with pytest.raises(QuotaUsedUp, match=r"10 calls a month; 10 are used.*2025-07-01") as waits:
        check_room(allowance, "calls", 10, 1, now=now)
    assert waits.value.retry_after == (datetime(2025, 7, 1, tzinfo=UTC) - now).total_seconds() + 1
    check_room(allowance, "events", 10, 1_000, now=now)
    with pytest.raises(QuotaExceeded, match="plan/request"):
        check_room(allowance, "rows", 5, 6, now=now)
    check_room(allowance, "rows", 5, 5, now=now)


def test_seats_features_storage_and_minutes_are_checked(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    with db.write() as session:
        put(session, PlanLimits(seats=1, training_minutes=2, storage_bytes=100, users=5), now, features=("search",))
        put_on_plan(session, blue, "mine", by=BY, now=now)
        check_seat(session, blue, now=now)
        add_member(session, blue, "a@example.com", "owner", now)
        with pytest.raises(QuotaExceeded, match="1 members and open invitations"):
            check_seat(session, blue, now=now)
        check_seat(session, green, now=now)
        check_feature(session, blue, "search", now=now)
        with pytest.raises(NotInPlan, match="two_tower"):
            check_feature(session, blue, "two_tower", now=now)
        check_training(session, blue, now=now)
        add_usage(session, blue, now.date(), ms=120_000)
        with pytest.raises(QuotaExceeded):
            check_training(session, blue, now=now)
        check_training(session, green, now=now)
        check_stored(session, blue, 100, users=True, now=now)
        with pytest.raises(QuotaExceeded):
            check_stored(session, blue, 101, users=False, now=now)
        for kind, amount in (("users", 5), ("bytes:raw", 60)):
            session.add(UsageSampleRow(tenant_id="blue", day=now.date(), kind=kind, amount=amount))
        session.flush()
        check_stored(session, blue, 40, users=False, now=now)
        with pytest.raises(QuotaExceeded, match="5 users"):
            check_stored(session, blue, 40, users=True, now=now)
        with pytest.raises(QuotaExceeded, match="bytes of storage"):
            check_stored(session, blue, 41, users=False, now=now)


def test_an_invitation_needs_a_seat(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue = shops[0]
    site = "https://shop.example.com"
    with db.write() as session:
        put(session, PlanLimits(seats=2), now)
        put_on_plan(session, blue, "mine", by=BY, now=now)
        add_member(session, blue, "a@example.com", "owner", now)
        invite(session, blue, "b@example.com", "viewer", by=BY, site_url=site, now=now)
        with pytest.raises(QuotaExceeded, match="2 members and open invitations"):
            invite(session, blue, "c@example.com", "viewer", by=BY, site_url=site, now=now)
        invite(session, blue, "b@example.com", "editor", by=BY, site_url=site, now=now)  # in place of the first one


def test_a_share_is_told_once_a_month_to_owners_and_admins(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue = shops[0]
    with db.write() as session:
        put(session, PlanLimits(calls=10), now)
        put_on_plan(session, blue, "mine", by=BY, now=now)
        for email, role in (("o@example.com", "owner"), ("a@example.com", "admin"), ("v@example.com", "viewer")):
            add_member(session, blue, email, role, now)
        add_member(session, shops[1], "x@example.com", "owner", now)
        add_usage(session, blue, now.date(), calls=8)

    def note(at: datetime) -> int:
        with db.write() as session:
            allowance = allowance_of(session, blue, now=at)
            return note_shares(session, allowance, use_of(session, allowance, now=at), now=at)

    assert [note(now), note(now)] == [2, 0]
    with db.write() as session:
        add_usage(session, blue, now.date() + timedelta(days=1), calls=2)
    later = now + timedelta(days=1)
    assert [note(later), note(later)] == [2, 0]
    with db.write() as session:
        add_usage(session, blue, date(2025, 7, 1), calls=9)
    assert note(datetime(2025, 7, 2, tzinfo=UTC)) == 2
    with db.write() as session:
        put_override(session, blue, Override("calls", 18, "why", None, now, ""), by=BY, now=now)
    assert [note(later), note(later)] == [0, 0]  # 10 of 18
    with db.write() as session:
        put_override(session, blue, Override("calls", 12, "why", None, now, ""), by=BY, now=now)
    assert [note(later), note(later)] == [2, 0]  # another amount
    with db.write() as session:
        remove_override(session, blue, "calls", by=BY, now=now)
    assert note(later) == 0
    with db.read() as session:
        mails = [
            (mail.recipient, mail.subject) for mail in session.scalars(select(MailRow).order_by(MailRow.created_at))
        ]
    assert {recipient for recipient, _ in mails} == {"o@example.com", "a@example.com"}
    assert sorted(subject for _, subject in mails)[:2] == ["blue: 100 % of calls a month are used"] * 2


def test_a_smaller_plan_names_who_would_be_over_it(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    with db.write() as session:
        plan = put(session, PlanLimits(calls=100), now)
        for shop in shops:
            put_on_plan(session, shop, "mine", by=BY, now=now)
        add_usage(session, blue, now.date(), calls=50)
        add_usage(session, green, now.date(), calls=60)
        put_override(session, green, Override("calls", 70, "why", None, now, ""), by=BY, now=now)
        smaller = plan.model_copy(update={"limits": PlanLimits(calls=40)})
        session.flush()
        effect = effect_of(session, smaller, now=now)
    assert (effect.tenants, effect.looked_at) == (2, 2)
    assert [(tenant.value, [use.meter for use in wrong]) for tenant, wrong in effect.over] == [("blue", ["calls"])]


def test_a_wish_is_mailed_to_super_admins_and_answered_by_a_plan(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue = shops[0]
    with db.write() as session:
        add_member(session, None, "boss@example.com", "super_admin", now)
        add_member(session, None, "help@example.com", "support_agent", now)
        ask_for_plan(session, blue, "shop", note="We grow.", by=BY, now=now)
        with pytest.raises(Conflict):
            ask_for_plan(session, blue, "shop", note="", by=BY, now=now)
        with pytest.raises(NotFound):
            ask_for_plan(session, blue, "unlimited", note="", by=BY, now=now)
    with db.read() as session:
        (mail,) = session.scalars(select(MailRow))
        assert (mail.recipient, mail.subject) == ("boss@example.com", "blue asks for the plan shop")
        assert "We grow." in (mail.body or "")
        wish = open_request(session, blue)
        assert wish is not None and wish.plan == "shop"
        assert open_request(session, shops[1]) is None
    with db.write() as session:
        put_on_plan(session, blue, "shop", by=BY, now=now)
    with db.read() as session:
        assert open_request(session, blue) is None


def test_only_what_begins_anew_can_wait() -> None:
    with pytest.raises(ValueError, match="rows"):
        Plan(id="x", name="X", at_limit={"rows": "wait"})


def test_sso_is_switched_on_only_where_the_plan_has_it(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    on = {"login.sso": True, "login.sso_domains": ["example.com"]}
    with db.write() as session:
        put(session, PlanLimits(), now, features=("search",))
        put_on_plan(session, blue, "mine", by=BY, now=now)
    with pytest.raises(NotInPlan, match="sso"):
        change_settings(db, blue, on, now=now, by=BY)
    with pytest.raises(NotInPlan, match="sso"):
        edit_tenant(db, blue, TenantEdit(settings=on), by=BY, now=now)
    with pytest.raises(NotInPlan, match="sso"):
        edit_tenant(db, green, TenantEdit(fields={"plan": "mine"}, settings=on), by=BY, now=now)
    new = NewTenant(id=TenantId("red"), name="Red", plan="mine", settings=on)
    with pytest.raises(NotInPlan, match="sso"), db.write() as session:
        insert_tenant(session, new, by=BY, now=now)
    assert not get_tenant(db, blue).settings.login.sso
    assert change_settings(db, green, on, now=now, by=BY).settings.login.sso
    with db.write() as session:  # what is on stays, so that other settings can be changed
        put_on_plan(session, green, "mine", by=BY, now=now)
    assert change_settings(db, green, {"rating_max": 5.0}, now=now, by=BY).settings.login.sso
    change_settings(db, blue, {"login.sso_domains": ["example.com"]}, now=now, by=BY)
