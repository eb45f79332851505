"""Where a person is logged in: families of refresh tokens, and sessions of browsers, seen as one list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import NotFound
from resources.control_db.tables.sessions import RefreshTokenRow, SessionRow
from resources.people.members import hold_member, member_by_id
from resources.sessions.refresh_tokens import end_family


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One place where a person is logged in: a program or page that holds tokens, or a browser with a cookie."""

    id: str
    kind: Literal["token", "browser"]
    address: str
    browser: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


def open_sessions(session: Session, member_id: str, *, now: datetime) -> tuple[OpenSession, ...]:
    """Return where a member is logged in, newest use first."""
    member = member_by_id(session, member_id)
    browsers = select(SessionRow).where(
        SessionRow.member_id == member.id,
        SessionRow.member_version == member.version,
        SessionRow.ended_at.is_(None),
        SessionRow.expires_at > now,
    )
    found = [
        OpenSession(row.id, "browser", row.address, row.browser, row.created_at, row.last_used_at, row.expires_at)
        for row in session.scalars(browsers)
    ]
    tokens = (
        select(RefreshTokenRow)
        .where(
            RefreshTokenRow.member_id == member.id,
            RefreshTokenRow.member_version == member.version,
            RefreshTokenRow.revoked_at.is_(None),
            RefreshTokenRow.expires_at > now,
        )
        .order_by(RefreshTokenRow.created_at)
    )
    families: dict[str, list[RefreshTokenRow]] = {}
    for row in session.scalars(tokens):
        families.setdefault(row.family, []).append(row)
    for family, rows in families.items():
        if any(row.used_at is None for row in rows):
            first, last = rows[0], rows[-1]
            found.append(
                OpenSession(
                    family, "token", last.address, last.browser, first.created_at, last.created_at, last.expires_at
                )
            )
    return tuple(sorted(found, key=lambda each: (each.last_used_at, each.id), reverse=True))


def end_session(session: Session, member_id: str, session_id: str, *, by: Actor, now: datetime) -> None:
    """Log a member out in one place; it holds within 5 s on every worker.

    Raises:
        NotFound: the member is not logged in there.
    """
    hold_member(session, member_id)
    if all(each.id != session_id for each in open_sessions(session, member_id, now=now)):
        raise NotFound(f"You have no session {session_id[:60]!r}; GET /api/v1/me/sessions lists those that there are.")
    end_family(session, session_id, now=now)
    session.execute(update(SessionRow).where(SessionRow.id == session_id).values(ended_at=now))
    change = Change(action="session.end", object_kind="session", object_id=session_id)
    record(session, by, change, tenant=None, now=now)


def end_other_sessions(session: Session, member_id: str, keep: str | None, *, by: Actor, now: datetime) -> int:
    """Log a member out everywhere but in the session `keep`; return in how many places."""
    others = [each.id for each in open_sessions(session, member_id, now=now) if each.id != keep]
    for each in others:
        end_session(session, member_id, each, by=by, now=now)
    return len(others)
