"""Turns of tenants on the event loop: one request in each round of the loop, tenants in turn."""

from __future__ import annotations

import asyncio

from bento_service.scheduling.fair_queue import FairQueue


class Turns:
    """Lets one request of those that are ready go on in each round of the event loop. Belongs to the loop.

    The loop by itself runs all that is ready before it looks at its sockets again, so that whoever asks next waits for
    every request that another tenant has sent at once. With turns a tenant waits for one request of each other tenant
    at most, however many they have sent. A request takes its turn when it can be worked on without waiting for its
    client, and gives nothing back: its turn ends where it first waits for something.
    """

    def __init__(self) -> None:
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._taken = False

    async def take(self, name: str) -> None:
        """Wait for a turn of `name`; at once when nobody has taken the one of this round."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next, loop)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.push(name, turn)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():  # else whoever waited was cancelled
                turn.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._taken = False
