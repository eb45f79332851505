"""Events of requests that come in at the same time share one transaction: an append is mostly waiting for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import OperationalError

from bento_service.scheduling.fair_queue import FairQueue
from resources.base.tenant import TenantId
from resources.events.log import Append, AppendResult, Event, EventLog
from resources.usage.amounts import NO_KEY

MOST_EVENTS = 5_000
"""In one transaction, unless one request alone has more: others wait for its end."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    append: Append
    stored: asyncio.Future[tuple[AppendResult, ...]]


class EventWriter:
    """Appends to the event log, one transaction after the other. Belongs to the event loop.

    While one transaction is written, requests gather for the next, which takes them from all tenants in turn. Without
    this every request is a transaction of its own, and SQLite lets whoever happens to try at the right moment go first:
    most wait long, and some very long.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._waiting: FairQueue[_Waiting] = FairQueue()
        self._writing: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)  # of its own: events do not stand behind other writes

    async def append(
        self, tenant: TenantId, events: Sequence[Event], *, now: datetime, key_id: str = NO_KEY
    ) -> tuple[AppendResult, ...]:
        """Store `events`, all or none; they are durable when this returns. Other requests' events do not matter.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the control DB does not take them.
        """
        stored: asyncio.Future[tuple[AppendResult, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.push(tenant.value, _Waiting(Append(tenant, events, now, key_id), stored))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._store(self._next())
        finally:
            self._writing = None

    def _next(self) -> list[_Waiting]:
        batch = [self._waiting.pop()]
        size = len(batch[0].append.events)
        while self._waiting and size + len(self._waiting.peek().append.events) <= MOST_EVENTS:
            batch.append(self._waiting.pop())
            size += len(batch[-1].append.events)
        return batch

    async def _store(self, batch: list[_Waiting]) -> None:
        appends = [each.append for each in batch]
        storing = to_thread.run_sync(self.log.append_all, appends, limiter=self._thread)
        (outcome,) = await asyncio.gather(storing, return_exceptions=True)  # whatever it is, those who wait are told
        if not isinstance(outcome, BaseException):
            for each, results in zip(batch, outcome, strict=True):
                if not each.stored.done():  # else whoever asked is gone
                    each.stored.set_result(results)
        elif len(batch) == 1 or isinstance(outcome, OperationalError):  # a full disk or a lock meets all of them
            for each in batch:
                if not each.stored.done():
                    each.stored.set_exception(outcome)
        else:  # it may be the fault of one
            for each in batch:
                await self._store([each])
