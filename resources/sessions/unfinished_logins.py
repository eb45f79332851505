"""Log-ins in two steps: after the password comes a code, or somebody comes back from the provider of SSO.

What is known after the first step is stored here, for a few minutes and for one use; the browser has a random token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from resources.base.errors import Forbidden, LinkExpired, SecondFactorRequired
from resources.control_db.engine import ControlDb
from resources.control_db.tables.sessions import UnfinishedLoginRow
from resources.people.members import hold_member, member_by_email, one_email
from resources.people.one_time_links import hash_token
from resources.people.second_factor import check
from resources.sessions.login import Begin, Result, begin_login, chosen_shop
from resources.sessions.refresh_tokens import LoginClient
from resources.sessions.throttle import admit, forget_failures

LoginStep = Literal["code", "sso"]
LIFETIME = timedelta(minutes=10)
MOST_FAILURES = 5
"""Wrong codes after one password: then the password is asked for again, which the throttle counts."""
_BYTES = 32


@dataclass(frozen=True, slots=True)
class PasswordShown:
    """Somebody whose password was right, and who has yet to show a code. `kept`: they want to stay logged in."""

    email: str
    kept: bool


def begin_code_step(db: ControlDb, shown: PasswordShown, *, now: datetime) -> str:
    """Remember that the password was right; return the token for the browser's cookie."""
    with db.write() as session:
        member = member_by_email(session, one_email(shown.email))
        if member is None:
            raise _over()
        data = {"member_id": member.id, "version": member.version, "kept": shown.kept}
        return add_unfinished(session, "code", data, now=now)


def waits_for_code(db: ControlDb, token: str, *, now: datetime) -> bool:
    """Tell whether a cookie is of somebody who may show a code."""
    with db.read() as session:
        row = session.get(UnfinishedLoginRow, hash_token(token))
        return row is not None and row.kind == "code" and row.expires_at > now


def kept_of(db: ControlDb, token: str) -> bool:
    """Tell whether the person who has yet to show a code wants to stay logged in."""
    with db.read() as session:
        row = session.get(UnfinishedLoginRow, hash_token(token))
        return row is not None and bool(row.data.get("kept"))


def finish_with_code(
    db: ControlDb, token: str, code: str, begin: Begin[Result], client: LoginClient, *, now: datetime
) -> Result:
    """Check the code of a second factor, or a recovery code, and begin whatever goes with being logged in.

    Raises:
        LinkExpired: the log-in took too long, or too many codes were wrong: the password has to be shown again.
        SecondFactorRequired: the code is wrong, or was used.
        TooManyAttempts: too many have failed.
        Forbidden: the person may not log in here.
    """
    with db.write() as session:
        held = select(UnfinishedLoginRow).where(UnfinishedLoginRow.token_hash == hash_token(token)).with_for_update()
        row = session.scalars(held).one_or_none()
        if row is None or row.kind != "code" or row.expires_at <= now or row.failures >= MOST_FAILURES:
            raise _over()
        member = hold_member(session, row.data["member_id"])
        if member.version != row.data["version"]:
            raise _over()
        if member.status != "active":
            raise Forbidden("Your account is suspended. Ask the operator of this service to resume it.")
        attempt = admit(session, member.email, client.address, now=now)
        if check(session, member, code, now):
            forget_failures(session, attempt)
            session.delete(row)
            membership, _ = chosen_shop(session, member.id)
            return begin_login(session, member, membership, begin, client, now=now)
        row.failures += 1  # stored, so the error is raised after the commit
    raise SecondFactorRequired("The code is not valid now, or was used. Take the next one of your authenticator.")


def add_unfinished(session: Session, step: LoginStep, data: Mapping[str, Any], *, now: datetime) -> str:
    """Store what is known after the first step; return a token of 256 random bits, which is not stored."""
    token = secrets.token_urlsafe(_BYTES)
    row = UnfinishedLoginRow(
        token_hash=hash_token(token), kind=step, data=dict(data), failures=0, created_at=now, expires_at=now + LIFETIME
    )
    session.add(row)
    session.flush()
    return token


def take_unfinished(session: Session, token: str, step: LoginStep, *, now: datetime) -> Mapping[str, Any] | None:
    """Return what was stored, once: a second time there is nothing, also for two who ask at the same moment."""
    row = session.get(UnfinishedLoginRow, hash_token(token))
    if row is None or row.kind != step or row.expires_at <= now:
        return None
    data = row.data
    gone = session.execute(delete(UnfinishedLoginRow).where(UnfinishedLoginRow.token_hash == hash_token(token)))
    return data if gone.rowcount == 1 else None  # type: ignore[attr-defined]


def _over() -> LinkExpired:
    return LinkExpired("This log-in has taken too long, or too many codes were wrong. Begin again with your password.")
