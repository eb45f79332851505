"""Members: one person each, known by an e-mail address in its one form."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.access.roles import OfficeRole, office_role
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, FieldProblem, InvalidInput, NotFound
from resources.control_db.tables.people import MemberRow
from resources.databases.opening import is_postgresql

MemberStatus = Literal["active", "suspended"]
MAX_EMAIL = 254
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Member:
    """One person, without secrets. `version` grows with whatever ends all tokens and sessions of the person."""

    id: str
    email: str
    name: str
    status: MemberStatus
    office_role: OfficeRole | None
    email_verified: bool
    second_factor: bool
    version: int
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, row: MemberRow) -> Member:
        """Return what a row says."""
        return cls(
            id=row.id,
            email=row.email,
            name=row.name,
            status="active" if row.status == "active" else "suspended",
            office_role=None if row.office_role is None else office_role(row.office_role),
            email_verified=row.email_verified_at is not None,
            second_factor=row.totp_confirmed_at is not None,
            version=row.version,
            created_at=row.created_at,
            last_login_at=row.last_login_at,
        )


def one_email(text: str) -> str:
    """Return an address in the one form that it is stored and looked for in.

    Blanks around it are dropped, the domain is in lower case and in letters of its language, and the part before the
    `@` is casefolded in NFC: no provider of today gives two people addresses that differ in case alone.

    Raises:
        InvalidInput: it is no address that mail could be sent to.
    """
    try:
        found = validate_email(text.strip(), check_deliverability=False)
    except EmailNotValidError as error:
        raise _bad_email() from error
    local = unicodedata.normalize("NFC", found.local_part.casefold())
    email = f"{local}@{found.domain.lower()}"
    if len(email) > MAX_EMAIL:
        raise _bad_email()
    return email


def _bad_email() -> InvalidInput:
    told = "must be an e-mail address, such as jane@example.com"
    return InvalidInput(f"email: {told}.", details=(FieldProblem("email", told),))


def member_by_email(session: Session, email: str) -> MemberRow | None:
    """Return the member with this address, which is in its one form; None when there is none."""
    return session.scalars(select(MemberRow).where(MemberRow.email == email)).one_or_none()


def member_by_id(session: Session, member_id: str) -> MemberRow:
    """Return a member.

    Raises:
        NotFound: there is none with this id.
    """
    row = session.get(MemberRow, member_id)
    if row is None:
        raise NotFound(f"There is no member {member_id[:60]!r}; list the members to see who there is.")
    return row


def hold_member(session: Session, member_id: str) -> MemberRow:
    """Return a member whom no other transaction changes, and whose tokens none hands out, until this one ends.

    Raises:
        NotFound: there is none with this id.
    """
    if is_postgresql(session.get_bind()):  # on SQLite there is one writer anyway
        held = select(MemberRow).where(MemberRow.id == member_id).with_for_update(key_share=True)
        session.scalars(held.execution_options(populate_existing=True)).all()  # what is not read renews no row
    return member_by_id(session, member_id)


def hold_with_admins(session: Session, member_id: str) -> MemberRow:
    """As `hold_member`, together with the active super admins, for whoever takes rights or the log-in from somebody.

    All are locked in one order, so that two who take the role from each other neither wait for each other nor both find
    the other one.

    Raises:
        NotFound: there is none with this id.
    """
    if is_postgresql(session.get_bind()):
        held = select(MemberRow).where(or_(MemberRow.id == member_id, _active_admins())).order_by(MemberRow.id)
        session.scalars(held.with_for_update(key_share=True).execution_options(populate_existing=True)).all()
    return member_by_id(session, member_id)


def new_member(
    session: Session, *, email: str, name: str, password_hash: str | None, verified: bool, now: datetime
) -> MemberRow:
    """Add a member; the caller records why, and says by a membership or a role what the person may do.

    Args:
        email: in its one form; `name` may be empty.
        password_hash: None where the person logs in by another way.
        verified: the person has shown that mail to the address reaches them.

    Raises:
        Conflict: the address is taken; the transaction is over by that.
        InvalidInput: the name is too long.
    """
    if member_by_email(session, email) is not None:
        raise Conflict(f"There is a member with the address {email} already.")
    row = MemberRow(
        id=f"mem-{secrets.token_hex(8)}",
        email=email,
        name=checked_name(name),
        password_hash=password_hash,
        status="active",
        email_verified_at=now if verified else None,
        version=1,
        created_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else was quicker, and has committed since this transaction looked
        raise Conflict(f"The address {email} was taken just now. Send the request again.") from error
    return row


def checked_name(name: str) -> str:
    """Return a person's name without blanks around it; it may be empty.

    Raises:
        InvalidInput: it is too long, or has a character that ends a line.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if len(name) > MAX_NAME or any(unicodedata.category(each) == "Cc" for each in name):
        told = f"must have at most {MAX_NAME} characters, none of them a line break"
        raise InvalidInput(f"name: {told}.", details=(FieldProblem("name", told),))
    return name


def rename_member(session: Session, member: MemberRow, name: str, *, by: Actor, now: datetime) -> None:
    """Give a member another name."""
    before, member.name = member.name, checked_name(name)
    if member.name != before:
        _record(session, by, member, "member.rename", {"name": before}, {"name": member.name}, now)


def set_member_status(session: Session, member_id: str, status: MemberStatus, *, by: Actor, now: datetime) -> MemberRow:
    """Suspend a member, whose tokens and sessions end by that, or let a suspended one log in again.

    Raises:
        NotFound: there is no such member.
        Conflict: it is the last active super admin, who cannot be suspended.
    """
    row = hold_with_admins(session, member_id)
    if row.status == status:
        return row
    if status == "suspended":
        _keep_a_super_admin(session, row)
        row.version += 1
    before, row.status = row.status, status
    action = "member.suspend" if status == "suspended" else "member.resume"
    _record(session, by, row, action, {"status": before}, {"status": status}, now)
    return row


def set_office_role(
    session: Session, member_id: str, role: OfficeRole | None, *, by: Actor, now: datetime
) -> MemberRow:
    """Give a member a role of the platform, or take it away.

    Raises:
        NotFound: there is no such member.
        Conflict: it would leave the platform without an active super admin.
    """
    row = hold_with_admins(session, member_id)
    if row.office_role == role:
        return row
    _keep_a_super_admin(session, row)
    before, row.office_role = row.office_role, role
    _record(session, by, row, "office.role", {"role": before}, {"role": role}, now)
    return row


def _active_admins() -> ColumnElement[bool]:
    return and_(MemberRow.office_role == "super_admin", MemberRow.status == "active")


def _keep_a_super_admin(session: Session, row: MemberRow) -> None:
    """Refuse to go on where nobody else is a super admin who can log in; `hold_with_admins` holds them all."""
    if row.office_role != "super_admin" or row.status != "active":
        return
    if session.scalars(select(MemberRow.id).where(_active_admins(), MemberRow.id != row.id).limit(1)).first() is None:
        raise Conflict(f"{row.email} is the last super admin; give the role to somebody else first.")


def _record(
    session: Session,
    by: Actor,
    row: MemberRow,
    action: str,
    before: dict[str, str | None],
    after: dict[str, str | None],
    now: datetime,
) -> None:
    change = Change(action=action, object_kind="member", object_id=row.id, before=before, after=after)
    record(session, by, change, tenant=None, now=now)


def end_everything(row: MemberRow) -> None:
    """Let all tokens and sessions of a member end: they carry the version that they were made with."""
    row.version += 1
