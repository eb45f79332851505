"""Places for uploads that are checked before they are answered, shared between tenants so that none waits for another.

A check cannot be interrupted for somebody else's. So one tenant has one place at most, whatever it sends; those who
wait take turns by tenant; and text that is read in a moment has places of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from bento_service.scheduling.fair_queue import FairQueue
from resources.base.errors import TooManyRequests
from resources.base.tenant import TenantId
from resources.uploads.parsing.uploaded_file import is_small_text

PLACES = 2
"""In each of the two lanes."""
MOST_WAITING = 20
"""Uploads of one tenant that may wait in one lane of a worker: each is a file on its disk and a connection."""
Result = TypeVar("Result")


class _Asked(Protocol):
    @property
    def receive(self) -> Receive: ...


class UploadSlots:
    """The places of one worker process. Belongs to the event loop.

    Args:
        places: in each lane.
        most_waiting: of one tenant in one lane.
    """

    def __init__(self, *, places: int = PLACES, most_waiting: int = MOST_WAITING) -> None:
        self._lanes = {moment: _Lane(places, most_waiting) for moment in (True, False)}
        self._threads = CapacityLimiter(len(self._lanes) * places)

    async def run(
        self, request: _Asked, tenant: TenantId, file: Path, check: Callable[..., Result], *arguments: object
    ) -> Result:
        """Call `check` with the arguments, in a thread, once the tenant has a place for the file.

        Raises:
            TooManyRequests: too many uploads of the tenant wait already.
            ClientDisconnect: whoever sent the file went away before its turn came; its place in the queue is free.
        """
        lane = self._lanes[is_small_text(file)]
        if not lane.enter(tenant.value):
            await _wait(lane, tenant.value, request)
        try:
            return await to_thread.run_sync(check, *arguments, limiter=self._threads)
        finally:
            lane.leave(tenant.value)


class _Lane:
    """Places with a queue for each tenant."""

    def __init__(self, places: int, most_waiting: int) -> None:
        self._free = places
        self._most_waiting = most_waiting
        self._inside: set[str] = set()
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    def enter(self, tenant: str) -> bool:
        """Take a place if there is one for the tenant."""
        if not self._free or tenant in self._inside:
            return False
        self._free -= 1
        self._inside.add(tenant)
        return True

    def queue(self, tenant: str) -> asyncio.Future[None]:
        """Return what is done once the tenant has a place.

        Raises:
            TooManyRequests: too many wait.
        """
        waiting = self._waiting.count(tenant)
        if waiting >= self._most_waiting:
            raise TooManyRequests(
                f"{waiting} uploads of tenant {tenant} wait to be checked, and no more may. Send them one after "
                "the other, or in one file."
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(tenant, turn)
        return turn

    def drop(self, tenant: str, turn: asyncio.Future[None]) -> None:
        """Give up a turn, or the place if it has come."""
        if turn.done():
            self.leave(tenant)
        else:
            self._waiting.remove(tenant, turn)

    def leave(self, tenant: str) -> None:
        """Give back the tenant's place, to the next whose turn it is."""
        self._inside.remove(tenant)
        self._free += 1
        while (following := next((each for each in self._waiting if self.enter(each)), None)) is not None:
            self._waiting.pop(following).set_result(None)


async def _wait(lane: _Lane, tenant: str, request: _Asked) -> None:
    turn = lane.queue(tenant)
    gone = asyncio.create_task(_gone(request.receive))
    entered = False
    try:
        await asyncio.wait({turn, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise ClientDisconnect
        entered = True
    finally:
        gone.cancel()
        if not entered:
            lane.drop(tenant, turn)


async def _gone(receive: Receive) -> None:
    """Return when the client is gone; its request has been read to the end."""
    while (await receive())["type"] != "http.disconnect":
        pass
