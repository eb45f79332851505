"""The sender of webhooks: a thread with an event loop of its own, behind everything that a client waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.telemetry.metrics import Metrics
from bento_service.webhooks.posting import new_client, post
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.claims import OUTAGES
from resources.webhooks.endpoints.deliveries import DueDelivery, claim_due, note_try

AT_ONCE = 8
"""Endpoints that one process posts to at the same time, each once."""
_POLL_SECONDS = 1.0
_STOP_SECONDS = 5.0
_log = structlog.get_logger("recsaas.webhooks")


class WebhookSender:
    """Tries what is due, whichever process has announced it."""

    def __init__(self, settings: Settings, db: ControlDb, clock: Clock, metrics: Metrics) -> None:
        """Start nothing yet."""
        self._private = settings.webhook_private
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._stopping = False
        self._busy: set[str] = set()
        self._thread = Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to look for what is due."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something was just queued by hand."""
        self._call(lambda: self._wake.set() if self._wake is not None else None)

    def stop(self) -> None:
        """End the thread; tries in progress are tried again by another process."""
        self._stopping = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _call(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        tries: set[asyncio.Task[None]] = set()
        async with new_client() as client:
            while not self._stopping:
                self._wake.clear()
                try:
                    due = await self._next() if len(self._busy) < AT_ONCE else None
                except (SQLAlchemyError, *OUTAGES) as error:
                    _log.warning("webhooks_wait", kind=type(error).__name__)
                    due = None
                if due is not None:
                    self._busy.add(due.webhook_id)
                    task = asyncio.create_task(self._try(client, due))
                    tries.add(task)
                    task.add_done_callback(tries.discard)
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _POLL_SECONDS)
            for task in tries:
                task.cancel()
            await asyncio.gather(*tries, return_exceptions=True)

    async def _next(self) -> DueDelivery | None:
        return await asyncio.to_thread(claim_due, self._db, now=self._clock(), busy=frozenset(self._busy))

    async def _try(self, client: httpx.AsyncClient, due: DueDelivery) -> None:
        try:
            result = await post(client, due, now=self._clock(), private=self._private)
            noted = await asyncio.to_thread(note_try, self._db, due, result, now=self._clock())
        except (SQLAlchemyError, *OUTAGES) as error:  # its claim runs out, and it is tried again
            _log.warning("webhook_not_noted", kind=type(error).__name__, delivery=due.id)
            return
        finally:
            self._busy.discard(due.webhook_id)
            if self._wake is not None:
                self._wake.set()
        self._metrics.webhook(worked=result.worked)
        _log.info(
            "webhook",
            tenant=due.tenant.value,
            webhook=due.webhook_id,
            delivery=due.id,
            type=due.type,
            attempt=due.attempts,
            status=result.status,
            state=None if noted is None else noted.status,
            duration_ms=result.milliseconds,
        )
