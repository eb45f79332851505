"""What tests of people share: members, the actor who does things, and the mails that were queued."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select

from resources.access.actor import Actor
from resources.access.roles import TenantRole
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow, MemberRow
from resources.people.members import member_by_id, new_member
from resources.people.memberships import add_membership

SITE = "https://shop.example.com"
BOSS = Actor(kind="command", id="root", name="root", source="command")
WAY = Actor(kind="system", id="-", name="-", source="api", address="192.0.2.1", request_id="r1")


def made(db: ControlDb, name: str, now: datetime, *, tenant: TenantId | None = None, role: TenantRole = "admin") -> str:
    """Make a member `<name>@example.com`, in a shop where one is named; return the id."""
    with db.write() as session:
        row = new_member(session, email=f"{name}@example.com", name=name, password_hash="hash", verified=True, now=now)
        if tenant is not None:
            add_membership(session, row, tenant, role, by=BOSS, now=now)
        return row.id


def member(db: ControlDb, member_id: str) -> MemberRow:
    """Read a member."""
    with db.read() as session:
        return member_by_id(session, member_id)


def mails(db: ControlDb, recipient: str) -> list[MailRow]:
    """The mails to an address, oldest first."""
    with db.read() as session:
        return list(
            session.scalars(
                select(MailRow).where(MailRow.recipient == recipient).order_by(MailRow.created_at, MailRow.id)
            )
        )


def token_in(mail: MailRow) -> str:
    """The token of the link in a mail."""
    found = re.search(rf"{re.escape(SITE)}/\w+/([\w-]+)", mail.body or "")
    assert found is not None, mail.body
    return found[1]


def actions(db: ControlDb, chain: str = "_platform") -> list[str]:
    """What the audit log says was done, oldest first; that the shop was made is left out."""
    wanted = (AuditRow.chain == chain, AuditRow.action != "tenant.create")
    with db.read() as session:
        return list(session.scalars(select(AuditRow.action).where(*wanted).order_by(AuditRow.number)))
