"""People of a test, and the tokens that they hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from resources.access.actor import SYSTEM
from resources.access.roles import OfficeRole, TenantRole
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.people.members import hold_member, new_member, set_office_role
from resources.people.memberships import add_membership, memberships_of
from resources.people.passwords import hash_password
from resources.sessions.access_tokens import claims_from, signed
from resources.sessions.refresh_tokens import LoginClient, begin_family
from resources.sessions.signing_keys import SigningKeys

OF_PEOPLE = (
    *("/api/v1/auth/", "/api/v1/me", "/api/v1/invites", "/api/v1/ownership", "/api/v1/admin/users"),
    "/api/v1/admin/people",
)
"""How the routes begin for which a key is none, or that send mails and compute hashes of passwords: tests that walk all
routes with a key leave them out."""
PASSWORD = "plain window sofa 9"
BROWSER = LoginClient(address="192.0.2.1", browser="a test")


@dataclass(frozen=True)
class Person:
    """Somebody who has logged in; `family` is the session."""

    id: str
    email: str
    token: str
    refresh_token: str
    family: str

    @property
    def headers(self) -> dict[str, str]:
        """The person's credential."""
        return {"Authorization": f"Bearer {self.token}"}


def person(
    db: ControlDb,
    email: str,
    *,
    now: datetime,
    tenant: TenantId | None = None,
    role: TenantRole = "owner",
    office: OfficeRole | None = None,
    password: str | None = None,
) -> Person:
    """Make somebody who belongs to a shop, to the office, or to neither, and log them in."""
    hashed = None if password is None else hash_password(password, email=email)
    with db.write() as session:
        row = new_member(session, email=email, name="", password_hash=hashed, verified=True, now=now)
        if tenant is not None:
            add_membership(session, row, tenant, role, by=SYSTEM, now=now)
        if office is not None:
            set_office_role(session, row.id, office, by=SYSTEM, now=now)
    return logged_in(db, row.id, now=now)


def logged_in(db: ControlDb, member_id: str, *, now: datetime) -> Person:
    """Log somebody in, without a password."""
    with db.write() as session:
        row = hold_member(session, member_id)
        shops = memberships_of(session, row.id)
        begun = begin_family(session, row, shops[0] if shops else None, BROWSER, now=now)
    shop = None if begun.membership is None else (begun.membership.tenant.value, begun.membership.role)
    claims = claims_from(now, member_id=row.id, version=row.version, shop=shop, session_id=begun.family)
    token = signed(claims, SigningKeys(db, days=30).signer(now))
    return Person(row.id, row.email, token, begun.token, begun.family)
