"""Threads for what blocks, apart by how long it takes: what is quick never stands behind what is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Literal, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from bento_service.http.errors import Busy
from bento_service.scheduling.fair_queue import FairQueue

Given = ParamSpec("Given")
Result = TypeVar("Result")
_MOST_WAITING = 64


class Lane:
    """A few threads, which those who wait for one get in turn. Belongs to the event loop.

    Args:
        threads: how many calls run at the same time.
        wait_seconds: how long a call waits for a thread.
        waiting: how many calls of one name wait.
    """

    def __init__(self, threads: int, *, wait_seconds: float, waiting: int = _MOST_WAITING) -> None:
        self._free = threads
        self._limiter = CapacityLimiter(threads)
        self._seconds = wait_seconds
        self._most = waiting
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    async def run(
        self, name: str, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Call `function` in a thread, for the tenant or the address `name`.

        Raises:
            Busy: too many calls of this name wait, or none of the threads was free in time.
        """
        await self._enter(name)
        try:
            return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._limiter)
        finally:
            self._leave()

    async def _enter(self, name: str) -> None:
        if self._free:
            self._free -= 1
            return
        if self._waiting.count(name) >= self._most:
            raise _busy()
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(name, given)
        entered = False
        try:
            async with asyncio.timeout(self._seconds):
                await given
            entered = True
        except TimeoutError:
            raise _busy() from None
        finally:
            if not entered and given.done() and not given.cancelled():
                self._leave()  # the thread was given in the moment in which the wait ended

    def _leave(self) -> None:
        while self._waiting:
            given = self._waiting.pop()
            if not given.done():
                given.set_result(None)
                return
        self._free += 1


class Threads:
    """The threads of a worker.

    Attributes:
        keys: reads of a millisecond that stand before an answer: keys, settings, what a tenant has changed. On SQLite
            no writer holds them up.
        reads: reads for a page of the API, by an index or of a file.
        ranking: rankings of large catalogues, and with a second stage.
        heavy: what else keeps a processor busy: searches, whole lists, measuring what there is. Python runs one thread
            at a time, so that a second one would gain little and take as much again from the event loop.
        writes: changes, which wait for the write lock of the control DB.
        passwords: hashes of passwords, each of which takes 46 MiB and 80 ms of a processor.
        long: what may take seconds by its nature: an erasure, everything about a user.
    """

    def __init__(self) -> None:
        self.keys = Lane(8, wait_seconds=5.0, waiting=256)
        self.reads = Lane(4, wait_seconds=10.0)
        self.ranking = Lane(2, wait_seconds=10.0)
        self.heavy = Lane(1, wait_seconds=10.0)
        self.writes = Lane(4, wait_seconds=2.0)
        self.passwords = Lane(2, wait_seconds=10.0, waiting=16)
        self.long = Lane(2, wait_seconds=30.0)


def threaded(lane: Literal["reads", "heavy", "writes", "long"]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a route of a handler that blocks; it has the parameters `services` and `principal` or `shop`."""

    def route(handler: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handler)
        async def endpoint(**given: Any) -> Any:
            asked_by = given["principal" if "principal" in given else "shop"]
            name = asked_by.tenant.value if hasattr(asked_by, "tenant") else asked_by.id  # an operator has no tenant
            return await getattr(given["services"].threads, lane).run(name, handler, **given)

        return endpoint

    return route


def _busy() -> Busy:
    return Busy("Too many requests wait for what this one needs. Wait a second, and send the request again.")
