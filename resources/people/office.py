"""The people of the platform: developers, support agents and super admins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import OfficeRole
from resources.base.errors import NotFound
from resources.control_db.tables.people import MemberRow
from resources.people.members import Member, end_everything, set_office_role


def list_office(session: Session) -> tuple[Member, ...]:
    """Return who works for the platform, by e-mail."""
    rows = session.scalars(select(MemberRow).where(MemberRow.office_role.is_not(None)).order_by(MemberRow.email))
    return tuple(Member.of(row) for row in rows)


def of_office(session: Session, member_id: str) -> MemberRow:
    """Return somebody of the office.

    Raises:
        NotFound: nobody of the office has this id.
    """
    row = session.get(MemberRow, member_id)
    if row is None or row.office_role is None:
        raise NotFound(f"Nobody of the platform has the id {member_id[:60]!r}; list its people to see who there is.")
    return row


def give_office_role(session: Session, member_id: str, role: OfficeRole, *, by: Actor, now: datetime) -> MemberRow:
    """Give somebody of the office another role.

    Raises:
        NotFound: nobody of the office has this id.
        Conflict: it would leave the platform without an active super admin.
    """
    of_office(session, member_id)
    return set_office_role(session, member_id, role, by=by, now=now)


def remove_from_office(session: Session, member_id: str, *, by: Actor, now: datetime) -> MemberRow:
    """Take the role of the platform from somebody, who stays a member; all their tokens and sessions end.

    Raises:
        NotFound: nobody of the office has this id.
        Conflict: it is the last active super admin.
    """
    of_office(session, member_id)
    row = set_office_role(session, member_id, None, by=by, now=now)
    end_everything(row)
    return row
