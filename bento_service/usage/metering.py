"""Counts on their way to the control DB: taken from memory twice a second, written as numbered batches."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bento_service.usage.counters import UsageCounters
from bento_service.usage.journal import Journal, LeftOver, left_over
from resources.base.errors import CorruptArtifact
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.claims import OUTAGES
from resources.usage.adding import Batch, add_batch
from resources.usage.amounts import Amounts, Counted, summed, without_keys
from resources.usage.current import Usage, usage_from_amounts

TAKE_SECONDS = 0.5
"""How often counts are taken from memory into the journal: a process that is killed loses those since."""
_RETRY_SECONDS = 1.0
_LEFT_OVER_SECONDS = 30.0
_CLOSE_SECONDS = 10.0
_MOST_ENTRIES = 50_000
_log = structlog.get_logger("recsaas.usage")


class Metering:
    """The counts of one worker, and what becomes of them.

    One thread takes them from memory into the journal, whatever the control DB does; another one writes them there.
    While the control DB is away everything new goes into one waiting batch, so that neither memory nor journal grow
    with the time; beyond 50,000 entries keys are added up to their tenants.

    Attributes:
        counters: where requests are counted.
    """

    def __init__(self, db: ControlDb, clock: Clock, folder: Path) -> None:
        """Start nothing yet: until `start`, counts stay in memory."""
        self.counters = UsageCounters()
        self._db = db
        self._clock = clock
        self._folder = folder
        self._worker = secrets.token_hex(8)
        self._number = 0
        self._waiting: list[Batch] = []
        """At most two: the first one may have been written already, so it never changes; the second one grows."""
        self._tried = False
        self._changing = Lock()
        self._stop, self._wake = Event(), Event()
        self._journal: Journal | None = None
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Begin to write counts, and those that workers which are gone have left."""
        self._journal = Journal(self._folder, self._worker)
        self._threads = [
            Thread(target=self._take_for_ever, name="recsaas-usage-take", daemon=True),
            Thread(target=self._write_for_ever, name="recsaas-usage-write", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write what is counted so far; what cannot be written in 10 s stays in the journal for the next worker."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(_CLOSE_SECONDS)
        if self._journal is not None:
            self._try(self.take)
            if not any(thread.is_alive() for thread in self._threads):
                self._try(self.write)
            self._journal.close()
            self._journal = None

    def not_written(self, tenant: TenantId) -> Usage:
        """What this worker has counted of the tenant and not yet written."""
        found = Usage()
        for key, amounts in self._not_written().items():
            if key.tenant == tenant.value:
                found += usage_from_amounts(amounts, key.status)
        return found

    def take(self) -> None:
        """Take the counts from memory into the batch that waits, and into the journal."""
        taken = self.counters.take(self._clock().date())
        if not taken:
            return
        with self._changing:
            if len(self._waiting) > self._tried:
                last = self._waiting.pop()
                last = replace(last, entries=_bounded(summed(last.entries.items(), taken.items())))
            else:
                self._number += 1
                last = Batch(self._worker, self._number, taken)
            self._waiting.append(last)
            self._note()
        self._wake.set()

    def write(self) -> bool:
        """Write the batches that wait, in their order; False when the control DB does not take them now.

        Raises:
            OSError: the control DB refuses one for good, and the disk does not take it either; it goes on to wait.
        """
        while True:
            with self._changing:
                if not self._waiting:
                    break
                self._tried = True  # from here on it may be in the control DB, and must not change
                batch = self._waiting[0]
            try:
                with self._db.write() as session:
                    add_batch(session, batch, now=self._clock())
            except (OperationalError, PoolTimeout) as error:
                _log.warning("usage_not_written", batch=batch.number, kind=type(error).__name__)
                return False
            except SQLAlchemyError as error:
                self._set_aside(self._journal, batch, error)
            with self._changing:
                self._waiting.pop(0)
                self._tried = False
                self._note()
        return True

    def take_over(self) -> int:
        """Write what workers that are gone have left in their journals; return how many batches those held.

        Raises:
            OSError: the folder cannot be read.
        """
        count = 0
        for file in left_over(self._folder):
            try:
                with closing(LeftOver(file)) as left:
                    count += self._take_in(left)
            except (CorruptArtifact, SQLAlchemyError, OSError) as error:
                _log.error("usage_left_over", file=file.name, kind=type(error).__name__, reason=str(error)[:300])
        return count

    def _take_in(self, left: LeftOver) -> int:
        """Write the batches of a journal; those that the control DB will never take are set aside."""
        if not left.ours:
            return 0
        count = 0
        for batch in left.batches():
            try:
                with self._db.write() as session:
                    count += add_batch(session, batch, now=self._clock())
            except (OperationalError, PoolTimeout):
                raise
            except SQLAlchemyError as error:
                self._set_aside(left, batch, error)
        left.done()
        return count

    def _not_written(self) -> Mapping[Counted, Amounts]:
        with self._changing:
            waiting = [batch.entries.items() for batch in self._waiting]
        return summed(*waiting, self.counters.look(self._clock().date()).items())

    def _note(self) -> None:
        if self._journal is None:
            return
        try:
            self._journal.write(self._waiting)
        except OSError as error:  # a full disk: the counts are in memory, and go to the control DB
            _log.error("usage_journal_not_written", reason=str(error)[:300])

    @staticmethod
    def _set_aside(journal: Journal | LeftOver | None, batch: Batch, error: SQLAlchemyError) -> None:
        """Keep one batch that the control DB will never take from holding up all others."""
        file = journal.set_aside(batch) if journal is not None else None
        _log.error("usage_refused", file=str(file), kind=type(error).__name__, reason=str(error)[:300])

    def _take_for_ever(self) -> None:
        while not self._stop.wait(TAKE_SECONDS):
            self._try(self.take)

    def _write_for_ever(self) -> None:
        looked: datetime | None = None
        while not self._stop.is_set():
            now = self._clock()
            if looked is None or (now - looked).total_seconds() >= _LEFT_OVER_SECONDS:
                looked = now
                self._try(self.take_over)
            self._wake.wait(TAKE_SECONDS)
            self._wake.clear()
            if not self._try(self.write):
                self._stop.wait(_RETRY_SECONDS)

    def _try(self, step: Callable[[], object]) -> object:
        """Return what a step does; None where a disk or a database is away, which ends no thread: the next one will do.

        What was taken from memory is in the batch that waits, so that nothing is lost by it.
        """
        try:
            return step()
        except (SQLAlchemyError, *OUTAGES) as error:
            _log.error("usage_waits", kind=type(error).__name__, reason=str(error)[:300])
            return None


def _bounded(entries: dict[Counted, Amounts]) -> dict[Counted, Amounts]:
    return entries if len(entries) <= _MOST_ENTRIES else without_keys(entries)
