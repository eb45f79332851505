"""The people of the demo: an owner of its shop and a super admin, who log in by links that are printed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.people.members import member_by_email, new_member, set_office_role
from resources.people.memberships import add_membership, role_in
from resources.people.one_time_links import new_link

OWNER, SUPER_ADMIN = "demo-owner@example.com", "demo-office@example.com"
"""Addresses that belong to nobody: without a password these people come in by such a link alone."""


@dataclass(frozen=True, slots=True)
class LogInLinks:
    """Addresses that log in once each: to the customer application, and to the office."""

    customer: str
    office: str


def log_in_links(db: ControlDb, tenant: TenantId, site_url: str, *, by: Actor, now: datetime) -> LogInLinks:
    """Make the people of the demo, if they are not there, and a link for each."""
    with db.write() as session:
        owner = _person(session, OWNER, "Demo owner", by, now)
        if role_in(session, owner.id, tenant) is None:
            add_membership(session, owner, tenant, "owner", by=by, now=now)
        admin = _person(session, SUPER_ADMIN, "Demo super admin", by, now)
        set_office_role(session, admin.id, "super_admin", by=by, now=now)
        customer, office = (
            new_link(session, member.id, "log_in", now=now, data={"app": app})
            for member, app in ((owner, "customer"), (admin, "office"))
        )
    return LogInLinks(f"{site_url}/login/once/{customer}", f"{site_url}/login/once/{office}")


def _person(session: Session, email: str, name: str, by: Actor, now: datetime) -> MemberRow:
    found = member_by_email(session, email)
    if found is not None:
        return found
    made = new_member(session, email=email, name=name, password_hash=None, verified=True, now=now)
    change = Change(action="member.create", object_kind="member", object_id=made.id, after={"email": email})
    record(session, by, change, tenant=None, now=now)
    return made
