"""What people have left behind and nobody can use any more, removed once a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Delete, delete, or_

from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import InviteRow, OneTimeLinkRow
from resources.control_db.tables.sessions import LoginFailureRow, RefreshTokenRow, SessionRow, UnfinishedLoginRow
from resources.jobs.daily import once_a_day
from resources.sessions.browser_sessions import KEPT
from resources.sessions.refresh_tokens import KEPT_DAYS
from resources.sessions.throttle import FAILURES_KEPT

INVITES_KEPT = timedelta(days=30)
"""How long an invitation is listed after its time, accepted or not."""
LINKS_KEPT = timedelta(days=1)
"""How long a link is known after its time: whoever opens it is told that it is over, and those of an hour count."""
_log = structlog.get_logger("recsaas.accounts")


@dataclass(frozen=True, slots=True)
class AccountsKeeper:
    """Removes links, invitations, unfinished log-ins, tokens, sessions and counts of failures of long ago."""

    db: ControlDb
    clock: Clock

    def keep(self) -> bool:
        """Do the day's work, unless it is done or another process is at it. Whether it was done here."""
        now = self.clock()
        return once_a_day(self.db, "accounts", now, lambda: self._work(now))

    def _work(self, now: datetime) -> None:
        removed = {}
        for name, statement in _expired(now).items():
            with self.db.write() as session:  # one for each kind: who logs in meanwhile waits for none but the longest
                removed[name] = session.execute(statement).rowcount  # type: ignore[attr-defined]
        _log.info("accounts_tidied", **removed)


def _expired(now: datetime) -> Mapping[str, Delete]:
    failure = LoginFailureRow
    rested = or_(failure.blocked_until.is_(None), failure.blocked_until < now)
    return {
        "links": delete(OneTimeLinkRow).where(OneTimeLinkRow.expires_at < now - LINKS_KEPT),
        "invitations": delete(InviteRow).where(InviteRow.expires_at < now - INVITES_KEPT),
        "unfinished_logins": delete(UnfinishedLoginRow).where(UnfinishedLoginRow.expires_at < now),
        "refresh_tokens": delete(RefreshTokenRow).where(RefreshTokenRow.expires_at < now - timedelta(days=KEPT_DAYS)),
        "sessions": delete(SessionRow).where(SessionRow.expires_at < now - KEPT),
        "login_failures": delete(failure).where(failure.last_at < now - FAILURES_KEPT, rested),
    }
