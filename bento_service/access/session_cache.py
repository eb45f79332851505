"""Sessions of browsers that were looked up moments ago, so that a page does not wait for the control DB."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.scheduling.threads import Lane
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.people.one_time_links import hash_token
from resources.sessions.browser_sessions import App, BrowserSession, find_browser_session, note_use

SESSION_TTL_SECONDS = 3.0
"""How long a session is believed without asking the control DB; one that was ended must be over within 5 s."""
_MOST = 10_000
_log = structlog.get_logger("recsaas.sessions")


class SessionCache:
    """Sessions that were valid moments ago. Only hashes of cookies are held, and of no invalid ones."""

    def __init__(self, db: ControlDb, lane: Lane, now: Clock, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._lane = lane
        self._now = now
        self._clock = clock
        self._found: OrderedDict[tuple[App, str], tuple[float, BrowserSession]] = OrderedDict()
        self._lock = Lock()

    async def find(self, token: str, app: App, *, asked_by: str) -> BrowserSession | None:
        """Return whom a cookie of this app is for, as it was at most `SESSION_TTL_SECONDS` ago.

        Raises:
            Busy: too many look-ups wait.
        """
        kept = self._found.get((app, hash_token(token)))
        if kept is not None and self._clock() - kept[0] < SESSION_TTL_SECONDS and kept[1].expires_at > self._now():
            return kept[1]
        return await self._lane.run(asked_by, self._look_up, token, app)

    def forget(self, token: str, app: App) -> None:
        """Believe a cookie no more: its session was ended here."""
        with self._lock:
            self._found.pop((app, hash_token(token)), None)

    def _look_up(self, token: str, app: App) -> BrowserSession | None:
        asked_at, now, name = self._clock(), self._now(), (app, hash_token(token))
        session = find_browser_session(self._db, token, app, now=now)
        with self._lock:
            self._found.pop(name, None)
            if session is not None:
                self._found[name] = (asked_at, session)
                while len(self._found) > _MOST:
                    self._found.popitem(last=False)
        if session is not None:
            try:
                note_use(self._db, session, now=now)
            except SQLAlchemyError as error:  # the page is shown all the same; the next use is written
                _log.warning("use_not_written", kind=type(error).__name__)
        return session
