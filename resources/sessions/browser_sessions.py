"""Browsers that are logged in: 256 random bits in a cookie, of which the hash is stored.

A session of one app is none in the other. It ends 12 hours after its last use, or, where the person wanted to stay
logged in, 7 days after the log-in; no session outlives 7 days. It ends with whatever ends all tokens of the person.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from resources.access.roles import OfficeRole
from resources.audit.entries import Change, record
from resources.base.errors import Forbidden
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.sessions import SessionRow
from resources.people.members import Member
from resources.people.memberships import Membership, memberships_of
from resources.people.one_time_links import hash_token
from resources.people.second_factor import OfficePolicy, missing
from resources.sessions.refresh_tokens import LoginClient

App = Literal["customer", "office"]
IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
LAST_USE_EVERY = timedelta(minutes=1)
"""How often the last use is written at most."""
KEPT = timedelta(days=30)
"""How long one that has ended is kept: the addresses that somebody has logged in from."""
_BYTES = 32


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Somebody who is logged in with a browser, as of the moment in which it was looked up.

    Attributes:
        kept: the person wanted to stay logged in.
        memberships: the shops of the person, with their role in each.
    """

    id: str
    app: App
    member: Member
    memberships: tuple[Membership, ...]
    kept: bool
    began_at: datetime
    last_used_at: datetime
    expires_at: datetime

    @property
    def office_role(self) -> OfficeRole | None:
        """The role of the platform, in the office alone."""
        return self.member.office_role if self.app == "office" else None


def begin_browser_session(
    session: Session, member: MemberRow, app: App, client: LoginClient, *, kept: bool, now: datetime
) -> str:
    """Let a browser in; return the token for its cookie, which is not stored. The caller records the log-in.

    Raises:
        Forbidden: the person has no role of the platform, and it is the office.
    """
    if app == "office" and member.office_role is None:
        raise Forbidden("You have no role in the office. Ask a super admin to invite you.")
    token = secrets.token_urlsafe(_BYTES)
    row = SessionRow(
        token_hash=hash_token(token),
        id=f"ses-{secrets.token_hex(8)}",
        member_id=member.id,
        member_version=member.version,
        app=app,
        kept=kept,
        acting=None,
        address=client.address,
        browser=client.browser[:255],
        created_at=now,
        last_used_at=now,
        expires_at=now + (LONGEST if kept else IDLE),
    )
    session.add(row)
    session.flush()
    return token


def beginning(
    app: App, client: LoginClient, *, kept: bool, office_policy: OfficePolicy, now: datetime
) -> Callable[[Session, MemberRow, Membership | None], str]:
    """Return what `log_in` begins for a browser: its result is the token for the cookie.

    Raises, when it is called:
        Forbidden: the office wants a second factor that the person has not set up; or as `begin_browser_session`.
    """

    def begin(session: Session, member: MemberRow, _: Membership | None) -> str:
        if app == "office" and missing(member, office_policy):
            raise Forbidden(
                "The office wants a second factor. Log in to your shops, set one up under Account, and come back."
            )
        return begin_browser_session(session, member, app, client, kept=kept, now=now)

    return begin


def find_browser_session(db: ControlDb, token: str, app: App, *, now: datetime) -> BrowserSession | None:
    """Return who a cookie of this app is for; None where it is nobody, or the session has ended."""
    with db.read() as session:
        found = session.execute(
            select(SessionRow, MemberRow)
            .join(MemberRow, MemberRow.id == SessionRow.member_id)
            .where(
                SessionRow.token_hash == hash_token(token),
                SessionRow.app == app,
                SessionRow.ended_at.is_(None),
                SessionRow.expires_at > now,
                MemberRow.status == "active",
                MemberRow.version == SessionRow.member_version,
            )
        ).one_or_none()
        if found is None:
            return None
        row, member = found
        if app == "office" and member.office_role is None:
            return None
        return BrowserSession(
            id=row.id,
            app=app,
            member=Member.of(member),
            memberships=memberships_of(session, member.id),
            kept=row.kept,
            began_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )


def note_use(db: ControlDb, found: BrowserSession, *, now: datetime) -> None:
    """Write down that a session was used, where the last use was not written within the minute."""
    if now - found.last_used_at < LAST_USE_EVERY:
        return
    with db.write() as session:
        unwritten = (SessionRow.id == found.id, SessionRow.last_used_at <= now - LAST_USE_EVERY)
        values: dict[str, datetime] = {"last_used_at": now}
        if not found.kept:
            values["expires_at"] = min(now + IDLE, found.began_at + LONGEST)
        session.execute(update(SessionRow).where(*unwritten, SessionRow.ended_at.is_(None)).values(values))


def end_browser_session(db: ControlDb, token: str, app: App, client: LoginClient, *, now: datetime) -> None:
    """Log a browser out; a cookie that is nobody's changes nothing."""
    with db.write() as session:
        row = session.get(SessionRow, hash_token(token))
        if row is None or row.app != app or row.ended_at is not None:
            return
        row.ended_at = now
        member = session.get_one(MemberRow, row.member_id)
        change = Change(action="session.end", object_kind="session", object_id=row.id)
        record(session, client.actor(member), change, tenant=None, now=now)
