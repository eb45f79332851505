"""The thread that writes down when keys were used, and tells tenants of keys that are about to end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic, time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.claims import OUTAGES
from resources.keys.endings import tell_of_endings
from resources.keys.uses import KeyUse, write_uses

LOOK_SECONDS = 5.0
"""How often uses that are not stored yet are looked at."""
WRITE_SECONDS = 60.0
"""How often the use of one key is stored at most, by each worker; a kill loses no more than this."""
TELL_SECONDS = 600.0
"""How often keys that are about to end are looked for."""
_STOP_SECONDS = 3.0
_log = structlog.get_logger("recsaas.auth")


class KeyWorker:
    """Notes uses of keys beside the answers, and stores them in a thread."""

    def __init__(self, db: ControlDb, clock: Clock) -> None:
        """Start nothing yet."""
        self._db = db
        self._clock = clock
        self._seen: dict[str, tuple[float, str, str]] = {}
        self._written: dict[str, float] = {}
        self._told_at = -TELL_SECONDS
        self._stop = Event()
        self._thread = Thread(target=self._loop, name="key-worker", daemon=True)

    def start(self) -> None:
        """Begin to write and to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is known, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def note(self, key_id: str, method: str, route: str) -> None:
        """Note that a key was used now. Called for every request: it takes the time of one entry in a dict."""
        self._seen[key_id] = (time(), method, route)

    def write(self, *, every: float = WRITE_SECONDS) -> int:
        """Store the uses of keys of which none was stored for `every` seconds; return how many there were."""
        now = monotonic()
        due = [key_id for key_id in list(self._seen) if now - self._written.get(key_id, -WRITE_SECONDS) >= every]
        if not due:
            return 0
        taken = {key_id: self._seen.pop(key_id) for key_id in due}
        uses = {
            key_id: KeyUse(datetime.fromtimestamp(at, UTC), f"{method} {route}")
            for key_id, (at, method, route) in taken.items()
        }
        try:
            write_uses(self._db, uses)
        except (SQLAlchemyError, *OUTAGES):
            for key_id, use in taken.items():
                self._seen.setdefault(key_id, use)  # with the next ones
            raise
        self._written = {key_id: at for key_id, at in self._written.items() if now - at < WRITE_SECONDS}
        self._written |= dict.fromkeys(due, now)
        return len(due)

    def tell(self) -> int:
        """Tell of the keys that are about to end, which nobody was told of; return how many there were."""
        told = tell_of_endings(self._db, now=self._clock())
        if told:
            _log.info("keys_about_to_end", keys=told)
        return told

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._try(self.write)
            if monotonic() - self._told_at >= TELL_SECONDS:
                self._told_at = monotonic()
                self._try(self.tell)
        self._try(lambda: self.write(every=0.0))

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (SQLAlchemyError, *OUTAGES) as error:  # the next time will do
            _log.warning("key_worker_waits", kind=type(error).__name__)
