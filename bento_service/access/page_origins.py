"""The web origins of browser keys, known without asking the control DB for each request of a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.http.errors import Busy
from bento_service.scheduling.threads import Lane
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.keys.origins import origins_of_browser_keys

FRESH_SECONDS = 3.0
"""How old the list of origins may be."""
_log = structlog.get_logger("recsaas.auth")


class PageOrigins:
    """Tells whether some browser key is bound to an origin. A browser asks that before it sends the key along."""

    def __init__(self, db: ControlDb, lane: Lane, now: Clock, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._lane = lane
        self._now = now
        self._clock = clock
        self._known: frozenset[str] = frozenset()
        self._read_at = -FRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def has(self, origin: str) -> bool:
        """Tell whether pages of this origin may call the API; an outage leaves what was known before."""
        if self._clock() - self._read_at >= FRESH_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            if origin not in self._known:  # a page that is known does not wait
                await asyncio.shield(self._reading)
        return origin in self._known

    async def _read(self) -> None:
        started = self._clock()
        try:
            self._known = await self._lane.run("", origins_of_browser_keys, self._db, now=self._now())
        except (SQLAlchemyError, Busy) as error:
            _log.warning("origins_not_read", kind=type(error).__name__)
        finally:
            self._read_at = started
            self._reading = None
