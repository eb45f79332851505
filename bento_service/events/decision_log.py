"""Recording decisions beside the answers: a bounded queue and one thread that writes in batches.

An answer never waits for the disk. A process that is killed loses the decisions of the last `FLUSH_SECONDS`; nothing
else is lost without being counted and logged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Condition, Thread
from time import monotonic

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bento_service.scheduling.threads import Lane
from bento_service.telemetry.metrics import Metrics
from resources.base.tenant import TenantId
from resources.decisions.decision import Decision, time_of_id
from resources.decisions.store import DecisionStore

FLUSH_SECONDS = 0.2
"""Longest time that a decision waits to be written, while the log can be written to."""
BATCH = 500
QUEUE = 20_000
_ROOM_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_DRAIN_SECONDS = 10.0
_PRUNE_SECONDS = 3600.0
_ON_ITS_WAY = timedelta(seconds=2)
_log = structlog.get_logger("recsaas.decisions")


class DecisionLog:
    """Takes decisions from the event loop and writes them in a thread, which starts with the first one.

    Args:
        keep_days: how long decisions are kept; the thread prunes older ones.
        queue: how many may wait.
        lane: where decisions are looked up.
    """

    def __init__(
        self,
        store: DecisionStore,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        keep_days: int,
        lane: Lane,
        queue: int = QUEUE,
    ) -> None:
        self._lane = lane
        self.store = store
        self._metrics = metrics
        self._clock = clock
        self._keep = timedelta(days=keep_days)
        self._most = queue
        self._waiting: deque[Decision] = deque()
        self._writing: tuple[Decision, ...] = ()
        self._changed = Condition()
        self._thread: Thread | None = None
        self._hurry = False
        self._closed = False
        self._lost_logged_at = -_PRUNE_SECONDS
        self._pruned_at = -_PRUNE_SECONDS

    async def record(self, decision: Decision) -> None:
        """Hand over one decision; does not wait while there is room in the queue.

        A full queue means that the log cannot be written to fast enough, or at all. The answer then waits up to 50 ms
        for room; after that the decision is lost, and counted in `recsaas_decisions_lost_total`.
        """
        if len(self._waiting) >= self._most:
            until = monotonic() + _ROOM_SECONDS
            while len(self._waiting) >= self._most:
                if monotonic() >= until:
                    self._lose(1)
                    return
                await asyncio.sleep(_ROOM_SECONDS / 5)
        with self._changed:
            if self._closed:
                self._lose(1)
                return
            self._waiting.append(decision)
            if self._thread is None or not self._thread.is_alive():
                if self._writing:  # it was ended by an error that nobody expects, and these were its cause
                    self._lose(len(self._writing))
                    self._writing = ()
                self._thread = Thread(target=self._run, name="recsaas-decisions", daemon=True)
                self._thread.start()
            elif len(self._waiting) in (1, BATCH):
                self._changed.notify_all()

    async def find(self, tenant: TenantId, recommendation_id: str) -> Decision | None:
        """Return a decision; one that a worker has made moments ago is waited for until it is stored.

        Raises:
            Busy: too many wait for this.
        """
        made_at = time_of_id(recommendation_id)
        fresh = made_at is not None and abs(self._clock() - made_at) <= _ON_ITS_WAY
        until = monotonic() + (3 * FLUSH_SECONDS if fresh else 0)
        while True:
            found = self._here(tenant, recommendation_id)
            if found is None:
                found = await self._lane.run(tenant.value, self.store.get, tenant, recommendation_id)
            if found is not None or monotonic() >= until:
                return found
            await asyncio.sleep(FLUSH_SECONDS / 4)

    def flush(self, seconds: float = _DRAIN_SECONDS) -> bool:
        """Wait until everything that was recorded is stored; False when that takes longer than `seconds`."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout=seconds)

    def close(self) -> None:
        """Write what waits and end the thread; what cannot be written within 10 s is lost, and counted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_DRAIN_SECONDS)
        with self._changed:
            left = len(self._waiting) + len(self._writing)
            self._waiting.clear()
        if left:
            self._lose(left)
        self.store.close()

    def _here(self, tenant: TenantId, recommendation_id: str) -> Decision | None:
        with self._changed:
            held = (*self._writing, *self._waiting)
        return next((d for d in held if d.recommendation_id == recommendation_id and d.tenant == tenant), None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                # Gather: one transaction for many answers is what makes recording cheap.
                self._changed.wait_for(self._enough, timeout=FLUSH_SECONDS / 2)
                self._writing = tuple(self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting))))
            written = self._write(self._writing)
            with self._changed:
                if not written:
                    self._waiting.extendleft(reversed(self._writing))
                self._writing = ()
                self._hurry = self._hurry and bool(self._waiting)
                self._changed.notify_all()
                if not written and self._changed.wait_for(lambda: self._closed, timeout=_RETRY_SECONDS):
                    return
            self._prune()

    def _enough(self) -> bool:
        return len(self._waiting) >= BATCH or self._closed or self._hurry

    def _write(self, batch: tuple[Decision, ...]) -> bool:
        try:
            self.store.add(batch)
        except (OperationalError, PoolTimeout) as error:  # a full disk, a lock that somebody holds: they go away
            _log.error(
                "decisions_not_written", waiting=len(self._waiting) + len(batch), reason=str(error).split("\n")[0]
            )
            return False
        except (SQLAlchemyError, ValueError, OverflowError) as error:  # the fault of one of them
            return self._write_singly(batch, type(error).__name__)
        self._metrics.decisions_written(len(batch))
        return True

    def _write_singly(self, batch: tuple[Decision, ...], kind: str) -> bool:
        """Lose only what the log does not take; False when an outage leaves some of it to be written later."""
        if len(batch) == 1:
            _log.error("decision_not_taken", tenant=batch[0].tenant.value, kind=kind)
            self._metrics.decisions_lost(1)
            return True
        for place, each in enumerate(batch):
            if not self._write((each,)):
                with self._changed:
                    self._writing = batch[place:]
                return False
        return True

    def _prune(self) -> None:
        """Remove what is too old, in small steps between the batches; once an hour when nothing is left to do."""
        if monotonic() - self._pruned_at < _PRUNE_SECONDS:
            return
        try:
            if self.store.prune(self._clock() - self._keep) == 0:
                self._pruned_at = monotonic()
        except SQLAlchemyError as error:
            _log.warning("decisions_not_pruned", reason=str(error).split("\n")[0])
            self._pruned_at = monotonic()

    def _lose(self, count: int) -> None:
        self._metrics.decisions_lost(count)
        if monotonic() - self._lost_logged_at >= 1.0:
            self._lost_logged_at = monotonic()
            _log.error("decisions_lost", count=count, reason="the decision log cannot be written to fast enough")
