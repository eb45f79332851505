"""API keys that were valid moments ago, so that an answer does not wait for the control DB."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.http.errors import Busy
from bento_service.scheduling.threads import Lane
from resources.base.times import Clock
from resources.control_db.api_keys import ApiKey, authenticate, hash_secret
from resources.control_db.engine import ControlDb

KEY_TTL_SECONDS = 3.0
"""How long a key is believed without asking the control DB; a revoked key must stop within 5 s on every worker."""
_LOOK_AGAIN_SECONDS = 2.0
"""From when on a key in use is looked up again beside the answers, so that in steady use none of them waits for it."""
_MAX_KEYS = 10_000
_Known = tuple[float, float, ApiKey]
"""When to look a key up again, until when it is believed, and the key."""
_log = structlog.get_logger("recsaas.auth")


class KeyCache:
    """Keys that were valid moments ago. Only their hashes are held, and no invalid ones, so guessing fills nothing."""

    def __init__(
        self, db: ControlDb, lane: Lane, *, now: Clock | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._db = db
        self._lane = lane
        self._now = now or (lambda: datetime.now(UTC))
        self._clock = clock
        # Cheaper than cachetools, and whole in one call of C where several threads read (ADR 17).
        self._keys: OrderedDict[str, _Known] = OrderedDict()
        self._lock = Lock()
        self._looking: dict[str, asyncio.Task[None]] = {}

    def fresh(self, secret: str) -> ApiKey | None:
        """Return a key that was valid at most `KEY_TTL_SECONDS` ago and is not over since, without asking."""
        hashed = hash_secret(secret)
        found = self._keys.get(hashed)
        if found is None:
            return None
        look_again_at, until, key = found
        now = self._clock()
        if now >= until:
            return None
        if now >= look_again_at and hashed not in self._looking:
            self._looking[hashed] = asyncio.create_task(self._look_again(hashed, secret))
        return key

    def knows(self, secret: str) -> bool:
        """Tell whether the key was valid when it was last looked up, however long ago."""
        return hash_secret(secret) in self._keys

    async def find(self, secret: str, *, asked_by: str = "") -> ApiKey | None:
        """Return the key, as it was at most `KEY_TTL_SECONDS` ago; look-ups of different addresses take turns.

        Raises:
            Busy: too many look-ups wait.
        """
        return self.fresh(secret) or await self._lane.run(asked_by, self.look_up, secret)

    async def _look_again(self, hashed: str, secret: str) -> None:
        try:
            await self._lane.run("", self.look_up, secret)
        except (SQLAlchemyError, Busy) as error:  # it is believed until its time is over; then whoever asks is told
            _log.warning("key_not_looked_up", kind=type(error).__name__)
        finally:
            del self._looking[hashed]

    def look_up(self, secret: str) -> ApiKey | None:
        """Ask the control DB, and remember a valid key."""
        asked_at = self._clock()
        now = self._now()
        key = authenticate(self._db, secret, now=now)
        hashed = hash_secret(secret)
        with self._lock:
            before = self._keys.pop(hashed, None)
            if key is not None:
                left = KEY_TTL_SECONDS
                if key.expires_at is not None:  # never believed beyond its own end
                    left = min(left, (key.expires_at - now).total_seconds())
                self._keys[hashed] = (asked_at + _LOOK_AGAIN_SECONDS, asked_at + left, key)
                while len(self._keys) > _MAX_KEYS:
                    self._keys.popitem(last=False)
        if before is not None:
            _note_stop(before[2], key, now)
        return key


def _note_stop(before: ApiKey, found: ApiKey | None, now: datetime) -> None:
    """Log that a key in use works no more, whoever stopped it and by which way."""
    if found is None:
        status: str = "expired" if before.status_at(now) == "expired" else "revoked"
    else:
        status = found.tenant_status
    if status not in ("active", before.tenant_status):
        _log.warning("key_stopped", tenant=before.tenant.value, key=before.id, tenant_status=status)
