"""The life of keys: what they may be bound to, how they end, give way to the next one, and are warned of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from resources.access.actor import SYSTEM, Actor
from resources.access.key_kinds import BROWSER_SCOPES, KeyTerms, checked_terms, is_within, networks_of
from resources.base.errors import Conflict, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.api_keys import (
    authenticate,
    create_api_key,
    list_api_keys,
    make_api_key,
    revoke_api_key,
)
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow, MemberRow, MembershipRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tables.webhooks import WebhookEventRow, WebhookRow
from resources.keys.changes import change_api_key, rotate_api_key
from resources.keys.endings import tell_of_endings
from resources.keys.origins import origins_of_browser_keys
from resources.keys.uses import KeyUse, write_uses

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]
PAGE = KeyTerms(name="web", scopes=BROWSER_SCOPES, kind="browser", origins=("https://shop.example.com",))
ALICE = Actor(kind="member", id="mem-1", name="alice@example.com", source="page")
DAY = timedelta(days=1)


def add_member(db: ControlDb, tenant: TenantId, role: str, now: datetime, *, status: str = "active") -> str:
    address = f"{role}-{status}@example.com"
    with db.write() as session:
        session.add(
            MemberRow(id=f"mem-{role}-{status}", email=address, name=role, status=status, version=1, created_at=now)
        )
        session.flush()
        session.add(MembershipRow(member_id=f"mem-{role}-{status}", tenant_id=tenant.value, role=role, created_at=now))
    return address


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (replace(PAGE, scopes=("recommendations:read", "items:write")), "scopes"),
        (replace(PAGE, origins=()), "origins"),
        (replace(PAGE, origins=("https://*.example.com",)), "origins.0"),
        (replace(PAGE, origins=("https://shop.example.com/path",)), "origins.0"),
        (replace(PAGE, origins=("ftp://shop.example.com",)), "origins.0"),
        (replace(PAGE, origins=("https://shop.example.com:99999",)), "origins.0"),
        (replace(PAGE, origins=tuple(f"https://{i}.example.com" for i in range(21))), "origins"),
        (replace(PAGE, kind="secret"), "origins"),
        (KeyTerms(name="x", scopes=("platform",), kind="sandbox"), "scopes"),
        (KeyTerms(name="x", scopes=("admin",), addresses=("somewhere",)), "addresses.0"),
        (KeyTerms(name="x", scopes=()), "scopes"),
        (KeyTerms(name="two\nlines", scopes=("admin",)), "name"),
        (KeyTerms(name="a\x1b[31mred", scopes=("admin",)), "name"),
    ],
)
def test_what_no_key_can_be_is_told_by_field(terms: KeyTerms, field: str, now: datetime) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_terms(terms, now=now)
    assert [each.field for each in caught.value.details] == [field]


def test_bindings_have_one_form(now: datetime) -> None:
    origins = (
        "HTTPS://Shop.Example.com/",
        "https://shop.example.com:443",
        "http://localhost:8000",
        "https://[::1]:8443",
    )
    found = checked_terms(replace(PAGE, origins=origins, addresses=("203.0.113.9/24", "2001:DB8::1")), now=now)
    assert found.origins == ("https://shop.example.com", "http://localhost:8000", "https://[::1]:8443")
    assert found.addresses == ("203.0.113.0/24", "2001:db8::1/128")


@pytest.mark.parametrize(
    ("address", "inside"), [("203.0.113.77", True), ("203.0.114.1", False), ("2001:db8::1", True), ("unknown", False)]
)
def test_an_address_lies_in_a_network_or_does_not(address: str, inside: bool) -> None:
    assert is_within(address, networks_of(("203.0.113.0/24", "2001:db8::/32"))) is inside


def test_a_key_ends_at_its_moment(db: ControlDb, shops: Shops, now: datetime) -> None:
    terms = KeyTerms(name="x", scopes=("admin",), expires_at=now + DAY)
    made = make_api_key(db, shops[0], terms, now=now, by=ALICE)
    secret = str(made.secret)
    assert authenticate(db, secret, now=now + DAY - timedelta(seconds=1)) == made.key
    assert authenticate(db, secret, now=now + DAY) is None
    assert (made.key.status_at(now), made.key.status_at(now + DAY), made.key.made_by) == (
        *("active", "expired"),
        "alice@example.com",
    )
    with pytest.raises(Conflict, match="expired"):
        change_api_key(db, shops[0], made.key.id, {"expires_at": None}, now=now + DAY, by=ALICE)
    with pytest.raises(InvalidInput, match="over already"):
        make_api_key(db, shops[0], replace(terms, expires_at=now), now=now, by=ALICE)


def test_a_rotated_key_goes_on_for_the_overlap_and_no_longer(db: ControlDb, shops: Shops, now: datetime) -> None:
    old = make_api_key(db, shops[0], replace(PAGE, expires_at=now + 90 * DAY), now=now, by=ALICE)
    later = now + 80 * DAY
    new = rotate_api_key(db, shops[0], old.key.id, overlap=timedelta(hours=1), now=later, by=ALICE)
    assert new.secret is not None and new.secret.startswith("pk_live_")
    assert (new.key.name, new.key.scopes, new.key.origins) == ("web", old.key.scopes, old.key.origins)
    assert new.key.expires_at == later + 90 * DAY
    for secret, hours, works in ((old.secret, 0, True), (old.secret, 1, False), (new.secret, 1, True)):
        assert (authenticate(db, str(secret), now=later + timedelta(hours=hours)) is not None) is works
    (stored,) = (key for key in list_api_keys(db, shops[0]) if key.id == old.key.id)
    assert (stored.rotated_to, stored.expires_at) == (new.key.id, later + timedelta(hours=1))
    with pytest.raises(Conflict, match="rotated already"):
        rotate_api_key(db, shops[0], old.key.id, overlap=DAY, now=later, by=ALICE)
    with pytest.raises(Conflict, match="was rotated"):
        change_api_key(db, shops[0], old.key.id, {"expires_at": later + DAY}, now=later, by=ALICE)
    at_once = rotate_api_key(db, shops[0], new.key.id, overlap=timedelta(), now=later, by=ALICE)
    assert authenticate(db, str(new.secret), now=later) is None
    assert authenticate(db, str(at_once.secret), now=later) is not None


def test_an_overlap_makes_no_key_live_longer(db: ControlDb, shops: Shops, now: datetime) -> None:
    old = make_api_key(db, shops[0], replace(PAGE, expires_at=now + DAY), now=now, by=ALICE)
    rotate_api_key(db, shops[0], old.key.id, overlap=7 * DAY, now=now, by=ALICE)
    assert authenticate(db, str(old.secret), now=now + DAY) is None


def test_a_retry_gets_the_key_that_it_made_and_no_secret(db: ControlDb, shops: Shops, now: datetime) -> None:
    make = WriteKey.of("k1", "make")
    first, again = (make_api_key(db, shops[0], PAGE, now=now, by=ALICE, request=make) for _ in range(2))
    assert (again.key.id, again.secret) == (first.key.id, None)
    turn = WriteKey.of("k2", "rotate")
    new, once_more = (
        rotate_api_key(db, shops[0], first.key.id, overlap=DAY, now=now, by=ALICE, request=turn) for _ in range(2)
    )
    assert (once_more.key.id, once_more.secret) == (new.key.id, None)
    assert len(list_api_keys(db, shops[0])) == 2


def test_another_shops_key_is_not_there(db: ControlDb, shops: Shops, now: datetime) -> None:
    key = make_api_key(db, shops[0], PAGE, now=now, by=ALICE).key
    with pytest.raises(NotFound):
        change_api_key(db, shops[1], key.id, {"name": "mine"}, now=now, by=ALICE)
    with pytest.raises(NotFound):
        rotate_api_key(db, shops[1], key.id, overlap=DAY, now=now, by=ALICE)


def test_the_last_admin_key_stays_unless_an_owner_can_log_in(db: ControlDb, shops: Shops, now: datetime) -> None:
    key, _ = create_api_key(db, shops[0], name="a", scopes=("admin",), now=now)
    other, _ = create_api_key(db, shops[0], name="b", scopes=("admin",), now=now)

    def narrow(key_id: str) -> None:
        change_api_key(db, shops[0], key_id, {"scopes": ("items:write",)}, now=now, by=ALICE, keep_an_admin=True)

    def end(key_id: str) -> None:
        change_api_key(db, shops[0], key_id, {"expires_at": now + DAY}, now=now, by=ALICE, keep_an_admin=True)

    end(other.id)
    revoke_api_key(db, shops[0], other.id, now=now, keep_an_admin=True)
    for way in (narrow, end, lambda key_id: revoke_api_key(db, shops[0], key_id, now=now, keep_an_admin=True)):
        with pytest.raises(Conflict, match="the last key"):
            way(key.id)
    rotated = rotate_api_key(db, shops[0], key.id, overlap=DAY, now=now, by=ALICE)
    revoke_api_key(db, shops[0], key.id, now=now, keep_an_admin=True)
    with pytest.raises(Conflict, match="the last key"):
        narrow(rotated.key.id)
    add_member(db, shops[0], "owner", now, status="suspended")
    with pytest.raises(Conflict, match="the last key"):
        narrow(rotated.key.id)
    add_member(db, shops[0], "owner", now)
    narrow(rotated.key.id)


def test_every_change_of_a_key_is_in_the_audit_log(db: ControlDb, shops: Shops, now: datetime) -> None:
    made = make_api_key(db, shops[0], PAGE, now=now, by=ALICE)
    change_api_key(db, shops[0], made.key.id, {"name": "shop"}, now=now, by=ALICE)
    change_api_key(db, shops[0], made.key.id, {"name": "shop"}, now=now, by=ALICE)  # nothing new
    new = rotate_api_key(db, shops[0], made.key.id, overlap=DAY, now=now, by=ALICE)
    for _ in range(2):
        revoke_api_key(db, shops[0], made.key.id, now=now, by=ALICE)
    with db.read() as session:
        found = session.scalars(select(AuditRow).where(AuditRow.object_kind == "key").order_by(AuditRow.number)).all()
    assert [row.action for row in found] == ["key.create", "key.change", "key.rotate", "key.revoke"]
    assert {row.actor_name for row in found} == {"alice@example.com"}
    assert str(made.secret) not in str([(row.before, row.after) for row in found])
    assert str(new.secret) not in str([(row.before, row.after) for row in found])


def test_the_newest_use_is_kept(db: ControlDb, shops: Shops, now: datetime) -> None:
    key, _ = create_api_key(db, shops[0], name="a", scopes=("admin",), now=now)
    write_uses(db, {key.id: KeyUse(now + DAY, "GET /api/v1/items"), "no-such-key": KeyUse(now, "GET /x")})
    write_uses(db, {key.id: KeyUse(now, "POST /events")})  # of a worker that was slower
    (stored,) = list_api_keys(db, shops[0])
    assert (stored.last_used_at, stored.last_route) == (now + DAY, "GET /api/v1/items")


def test_only_origins_of_keys_that_work_are_let_through(db: ControlDb, shops: Shops, now: datetime) -> None:
    for tenant, name in ((shops[0], "a"), (shops[0], "b"), (shops[0], "c"), (shops[1], "d")):
        terms = replace(PAGE, origins=(f"https://{name}.example.com", "self"), expires_at=now + DAY)
        key = make_api_key(db, tenant, terms, now=now, by=SYSTEM).key
        if name == "b":
            revoke_api_key(db, tenant, key.id, now=now)
    with db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == shops[1].value).values(status="suspended"))
    assert origins_of_browser_keys(db, now=now) == {"https://a.example.com", "https://c.example.com"}
    assert origins_of_browser_keys(db, now=now + DAY) == frozenset()


def test_a_shop_is_told_14_and_3_days_before_once_each(db: ControlDb, shops: Shops, now: datetime) -> None:
    people = {add_member(db, shops[0], role, now) for role in ("owner", "admin")}
    add_member(db, shops[0], "viewer", now)
    add_member(db, shops[1], "editor", now)
    with db.write() as session:
        session.add(
            WebhookRow(
                id="w1", tenant_id=shops[0].value, url="https://a.example.com", secret="whsec_x", events=[],
                description="", enabled=True,  created_at=now,
                updated_at=now,
            )
        )  # fmt: skip
    year = KeyTerms(name="till", scopes=("admin",), expires_at=now + 365 * DAY)
    key = make_api_key(db, shops[0], year, now=now, by=SYSTEM).key
    make_api_key(db, shops[0], replace(year, expires_at=now + DAY), now=now, by=SYSTEM)  # made for a day: no warning
    gone = make_api_key(db, shops[0], year, now=now, by=SYSTEM).key
    rotate_api_key(db, shops[0], gone.id, overlap=7 * DAY, now=now + 351 * DAY, by=SYSTEM)
    told = [tell_of_endings(db, now=now + days * DAY) for days in (0, 350, 351, 351, 355, 362, 363, 365)]
    assert told == [0, 0, 1, 0, 0, 1, 0, 0]
    with db.read() as session:
        mails = session.scalars(select(MailRow)).all()
        events = session.scalars(select(WebhookEventRow).order_by(WebhookEventRow.created_at)).all()
    assert sorted(mail.recipient for mail in mails) == sorted([*people, *people])
    assert all("till" in str(mail.subject) and key.id in str(mail.body) for mail in mails)
    assert [(event.type, event.data["key_id"], event.data["days"]) for event in events] == [
        ("key.expiring", key.id, 14),
        ("key.expiring", key.id, 3),
    ]


def test_another_end_is_told_of_again(db: ControlDb, shops: Shops, now: datetime) -> None:
    add_member(db, shops[0], "owner", now)
    key = make_api_key(
        db, shops[0], KeyTerms(name="x", scopes=("admin",), expires_at=now + 30 * DAY), now=now, by=ALICE
    )
    assert tell_of_endings(db, now=now + 29 * DAY) == 1
    change_api_key(db, shops[0], key.key.id, {"expires_at": now + 60 * DAY}, now=now + 29 * DAY, by=ALICE)
    assert [tell_of_endings(db, now=now + days * DAY) for days in (29, 46, 57, 57)] == [0, 1, 1, 0]
