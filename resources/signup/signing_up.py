"""Signing up: a person and a shop of which they are the owner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.errors import Conflict, FieldProblem
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import add_tenant
from resources.people.members import hold_member, member_by_email, new_member, one_email
from resources.people.memberships import Membership, add_membership
from resources.people.passwords import hash_password
from resources.sessions.login import Begin, Login, Result, log_in
from resources.sessions.throttle import count_signup
from resources.tenants.settings import TenantSettings

_PROPOSALS = 3


@dataclass(frozen=True, slots=True)
class NewShop:
    """The shop that somebody signs up."""

    id: TenantId
    name: str
    settings: TenantSettings


def sign_up(db: ControlDb, login: Login, name: str, shop: NewShop, begin: Begin[Result], *, now: datetime) -> Result:
    """Make a shop and its owner, and begin whatever goes with being logged in.

    With an address that is known, and its password, the shop is another one of that person. With a wrong password the
    answer is that of a log-in with a wrong password, and counts as one: it does not say that the address is known, but
    whoever is ready to make a shop for each address that they try learns it from that. `count_signup` bounds how many.

    Raises:
        Conflict: the shop's id is taken; proposes free ones.
        TooManyAttempts: too many shops were made from this address, or log-ins failed.
        InvalidInput: address, password or name are not good enough.
        LoginRefused, SecondFactorRequired, Forbidden: as `log_in`, where the address is known.
    """
    email = one_email(login.email)
    with db.write() as session:
        count_signup(session, login.client.address, now=now)
        known = member_by_email(session, email) is not None
        _require_free(session, shop.id)
    if known:

        def begin_with_shop(session: Session, member: MemberRow, _: Membership | None) -> Result:
            return begin(session, member, _add_shop(session, member, shop, login, now))

        return log_in(db, login, begin_with_shop, now=now)
    hashed = hash_password(login.password, email=email)
    with db.write() as session:
        made = new_member(session, email=email, name=name, password_hash=hashed, verified=False, now=now)
        member = hold_member(session, made.id)
        member.last_login_at = now
        return begin(session, member, _add_shop(session, member, shop, login, now))


def free_ids(session: Session, wanted: TenantId) -> tuple[TenantId, ...]:
    """Return three ids like the one that is wanted, and free."""
    stem = re.sub(r"-\d+$", "", wanted.value)[:50].rstrip("-")
    tried = [f"{stem}-shop", f"{stem}-store", *(f"{stem}-{number}" for number in range(2, 200))]
    taken = set(session.scalars(select(TenantRow.id).where(TenantRow.id.in_(tried))))
    return tuple(TenantId(each) for each in tried if each not in taken)[:_PROPOSALS]


def _require_free(session: Session, tenant: TenantId) -> None:
    if session.get(TenantRow, tenant.value) is None:
        return
    proposals = ", ".join(each.value for each in free_ids(session, tenant))
    problem = FieldProblem("tenant.slug", f"is taken; free are: {proposals}")
    raise Conflict(f"The shop id {tenant} is taken. Free are: {proposals}.", details=(problem,))


def _add_shop(session: Session, member: MemberRow, shop: NewShop, login: Login, now: datetime) -> Membership:
    _require_free(session, shop.id)
    by = login.client.actor(member)
    made = add_tenant(session, shop.id, name=shop.name, settings=shop.settings, by=by, now=now)
    add_membership(session, member, shop.id, "owner", by=by, now=now)
    return Membership(shop.id, made.name, made.status, "owner", now)
