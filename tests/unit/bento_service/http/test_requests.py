"""Bodies that are arriving: how many bytes of them a worker and a tenant may have, and how long one may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from bento_service.http.errors import Busy, RequestTimeout
from bento_service.http.json_body import MAX_JSON_BYTES, Bodies
from resources.base.errors import TooLarge

MB = 1024 * 1024


class Sender:
    """A client that sends a body when it is told to."""

    def __init__(self, tenant: str = "blue", **headers: str) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.request = Request(
            {"type": "http", "headers": named, "state": {"tenant": tenant}}, receive=self._messages.get
        )

    def send(self, body: bytes, *, more: bool = True) -> Sender:
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def go(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})


def bodies(timeout: float = 60) -> Bodies:
    return Bodies(timeout=timeout, most_bytes=8 * MB)


async def arriving(of: Bodies, *senders: Sender) -> list[asyncio.Task[bytes]]:
    """Begin to read what has been sent."""
    tasks = [asyncio.create_task(of.read(sender.request)) for sender in senders]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


def run(test: Awaitable[None]) -> None:
    async def all_of_it() -> None:
        await test

    asyncio.run(all_of_it())


def test_pieces_are_put_together_and_forgotten() -> None:
    async def test() -> None:
        of = bodies()
        sender = Sender().send(b"a" * MB).send(b"b")
        (reading,) = await arriving(of, sender)
        assert of.held == MB + 1
        sender.send(b"c", more=False)
        assert await reading == b"a" * MB + b"bc"
        assert of.held == 0

    run(test())


def test_a_tenant_has_half_of_the_bytes_and_another_one_the_rest() -> None:
    async def test() -> None:
        of = bodies()
        blue = [Sender().send(b"a" * MB) for _ in range(6)]
        green = [Sender("green").send(b"a" * MB) for _ in range(3)]
        tasks = await arriving(of, *blue, *green)
        assert of.held == 7 * MB
        done = [task.done() for task in tasks]
        assert done == [False] * 4 + [True] * 2 + [False] * 3
        with pytest.raises(Busy, match="as many bytes as"):
            await tasks[4]
        (whole,) = await arriving(of, Sender().send(b"small", more=False))
        assert await whole == b"small"  # nothing is held of what is there at once
        for sender in blue[:4] + green:
            sender.send(b"", more=False)
        await asyncio.gather(*tasks[:4], *tasks[6:])
        assert of.held == 0
        assert await (await arriving(of, Sender().send(b"a" * MB).send(b"", more=False)))[0]

    run(test())


def test_all_tenants_together_have_so_many_bytes() -> None:
    async def test() -> None:
        of = bodies()
        senders = [Sender(f"t{n}").send(b"a" * 3 * MB) for n in range(3)]
        tasks = await arriving(of, *senders)
        assert [task.done() for task in tasks] == [False, False, True]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert of.held == 0

    run(test())


def test_whoever_goes_is_too_slow_or_sends_too_much_holds_nothing() -> None:
    async def test() -> None:
        gone = Sender().send(b"a")
        gone.go()
        slow = Sender().send(b"a")
        large = Sender().send(b"a" * (MAX_JSON_BYTES - 1)).send(b"ab")
        for sender, error, timeout in (
            (gone, ClientDisconnect, 60),
            (slow, RequestTimeout, 0.05),
            (large, TooLarge, 60),
        ):
            of = bodies(timeout=timeout)
            with pytest.raises(error):
                await of.read(sender.request)
            assert of.held == 0

    run(test())


def test_an_announced_giant_is_not_read() -> None:
    with pytest.raises(TooLarge):
        asyncio.run(bodies().read(Sender(content_length=str(MAX_JSON_BYTES + 1)).request))
