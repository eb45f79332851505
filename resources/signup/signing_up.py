"""Making a person and the shop of which they are the owner, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.audit.entries import Change, record
from resources.base.errors import Conflict, Forbidden, NotFound
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.tenants import TenantRow
from resources.people.members import checked_name, hold_member, member_by_email, new_member, one_email
from resources.people.memberships import Membership, add_membership
from resources.people.passwords import checked_password, hash_password
from resources.people.verification import send_verification
from resources.plans.plans import find_plan
from resources.sessions.login import Begin, Login, Result, begin_login, log_in
from resources.sessions.throttle import count_signup
from resources.storage.lake import Lake
from resources.tenancy.naming import check_new_id, taken
from resources.tenancy.provisioning import NewTenant, insert_tenant, make_landing_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """Who signs up, and which shop. `name` is the person's, and may be empty."""

    login: Login
    name: str
    shop: NewTenant


def sign_up(
    db: ControlDb, lake: Lake, wanted: SignUp, begin: Begin[Result], *, settings: Settings, now: datetime
) -> Result:
    """Make a shop and its owner, and begin whatever goes with being logged in.

    With an address that is known, and its password, the shop is another one of that person. With a wrong password the
    answer is that of a log-in with a wrong password, and counts as one: it does not say that the address is known, but
    whoever makes a shop for each address that they try learns it from that. `count_signup` bounds how many.

    Raises:
        Forbidden: nobody may sign up here, or there is no plan RECSAAS_SIGNUP_PLAN.
        Conflict: the shop's id is taken; names free ones.
        TooManyAttempts: too many shops were made from this address, or log-ins failed.
        InvalidInput: address, password, name or shop are not good enough.
        LoginRefused, SecondFactorRequired: as `log_in`, where the address is known.
    """
    if settings.signup_mode != "open":
        raise Forbidden(
            "Nobody can sign up here without an invitation. Ask the operator of this service to make a shop for you, "
            "or an owner of a shop for an invitation."
        )
    email = one_email(wanted.login.email)
    # What is wrong for everybody is said before anybody is looked for, or the answer would say who has an account.
    checked_password(wanted.login.password, email=email)
    checked_name(wanted.name)
    check_new_id(wanted.shop.id)
    wanted = replace(wanted, shop=replace(wanted.shop, plan=settings.signup_plan or None))
    with db.write() as session:
        _check_plan(session, settings.signup_plan)
        known = member_by_email(session, email) is not None
        if session.get(TenantRow, wanted.shop.id.value) is not None:
            raise taken(session, wanted.shop.id)
        count_signup(session, wanted.login.client.address, now=now)
    try:
        result = (_known if known else _new)(db, wanted, begin, settings, now)
    except IntegrityError as error:  # somebody else was quicker
        raise Conflict("The shop id or the address was taken just now. Send the request again.") from error
    make_landing_folders(lake, wanted.shop.id)
    return result


def _check_plan(session: Session, plan: str) -> None:
    if not plan:
        return
    try:
        find_plan(session, plan)
    except NotFound as error:
        raise Forbidden(
            "Nobody can sign up here now: the plan of new shops, which RECSAAS_SIGNUP_PLAN names, does not exist. "
            "Ask the operator of this service to make it, or to name another."
        ) from error


def _known(db: ControlDb, wanted: SignUp, begin: Begin[Result], settings: Settings, now: datetime) -> Result:
    def begin_with_shop(session: Session, member: MemberRow, _: Membership | None) -> Result:
        return begin(session, member, _add_shop(session, member, wanted, now))

    return log_in(db, wanted.login, begin_with_shop, now=now)


def _new(db: ControlDb, wanted: SignUp, begin: Begin[Result], settings: Settings, now: datetime) -> Result:
    email = one_email(wanted.login.email)
    hashed = hash_password(wanted.login.password, email=email)
    with db.write() as session:
        made = new_member(session, email=email, name=wanted.name, password_hash=hashed, verified=False, now=now)
        member = hold_member(session, made.id)
        send_verification(session, member, site_url=settings.site_url, now=now)
        membership = _add_shop(session, member, wanted, now, new=True)
        return begin_login(session, member, membership, begin, wanted.login.client, now=now)


def _add_shop(session: Session, member: MemberRow, wanted: SignUp, now: datetime, *, new: bool = False) -> Membership:
    """Make the shop and its owner; `new`: the account is made with it, which the shop's audit log says."""
    by = wanted.login.client.actor(member)
    made = insert_tenant(session, wanted.shop, by=by, now=now)
    if new:
        change = Change(
            action="member.create", object_kind="member", object_id=member.id, after={"email": member.email}
        )
        record(session, by, change, tenant=made.id, now=now)
    add_membership(session, member, made.id, "owner", by=by, now=now)
    return Membership(made.id, made.name, made.status, "owner", now)
