"""Who checks when: uploads that are answered with their report, of several tenants, in one worker."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from bento_service.scheduling.upload_slots import UploadSlots
from resources.base.errors import TooManyRequests
from resources.base.tenant import TenantId
from resources.uploads.parsing.uploaded_file import SMALL_TEXT_BYTES

A, B, C = (TenantId(name) for name in ("a-shop", "b-shop", "c-shop"))


class Sender:
    """A client: its connection is open until it goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Door:
    """Uploads that are checked until they are let go, in the order in which they began."""

    def __init__(self, slots: UploadSlots, file: Path) -> None:
        self.slots, self.file = slots, file
        self.begun: list[str] = []
        self._events: dict[str, Event] = {}

    def send(self, tenant: TenantId, name: str, sender: Sender | None = None) -> asyncio.Task[str]:
        self._events[name] = Event()

        def check(checked: str) -> str:
            self.begun.append(checked)
            assert self._events[checked].wait(60)
            return checked

        return asyncio.create_task(self.slots.run(sender or Sender(), tenant, self.file, check, name))

    def let_go(self, *names: str) -> None:
        for name in names:
            self._events[name].set()

    def let_all_go(self) -> None:
        self.let_go(*self._events)

    async def until_begun(self, *names: str) -> None:
        async with asyncio.timeout(60):
            while self.begun != list(names):
                await asyncio.sleep(0.001)


def played(tmp_path: Path, play: Callable[[Door], Awaitable[None]], content: bytes = b"PAR1", **options: int) -> None:
    file = tmp_path / "received"
    file.write_bytes(content)

    async def run() -> None:
        door = Door(UploadSlots(**options), file)
        try:
            await play(door)
        finally:
            door.let_all_go()

    asyncio.run(run())


def test_one_tenant_has_one_place_and_the_others_wait_for_nobody(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        sent = [door.send(A, f"a{n}") for n in range(6)]
        await door.until_begun("a0")
        quick = door.send(B, "b")
        await door.until_begun("a0", "b")
        door.let_go("b")
        assert await quick == "b"
        door.let_all_go()
        assert await asyncio.gather(*sent) == [f"a{n}" for n in range(6)]

    played(tmp_path, play)


def test_tenants_take_turns(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        tasks = [door.send(A, "a0")]
        await door.until_begun("a0")
        tasks += [door.send(tenant, name) for tenant, name in ((A, "a1"), (A, "a2"), (B, "b0"), (B, "b1"), (C, "c0"))]
        order = ["a0", "a1", "b0", "c0", "a2", "b1"]
        for name, following in zip(order, [*order[1:], None], strict=True):
            door.let_go(name)
            await tasks[["a0", "a1", "a2", "b0", "b1", "c0"].index(name)]
            if following is not None:
                await door.until_begun(*order[: order.index(following) + 1])

    played(tmp_path, play, places=1)


def test_a_client_that_goes_away_gives_its_place_back(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        first = door.send(A, "a0")
        await door.until_begun("a0")
        sender = Sender()
        leaving, staying = door.send(A, "a1", sender), door.send(A, "a2")
        await asyncio.sleep(0)
        sender.gone.set()
        with pytest.raises(ClientDisconnect):
            await leaving
        door.let_go("a0")
        await first
        await door.until_begun("a0", "a2")
        door.let_go("a2")
        assert await staying == "a2"

    played(tmp_path, play)


def test_a_request_that_is_cancelled_gives_its_place_back(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        first, second = door.send(A, "a0"), door.send(A, "a1")
        await door.until_begun("a0")
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        door.let_go("a0")
        await first
        again = door.send(A, "a2")
        await door.until_begun("a0", "a2")
        door.let_go("a2")
        await again

    played(tmp_path, play)


def test_a_check_that_raises_gives_its_place_back(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await door.slots.run(Sender(), A, door.file, lambda: 1 // 0)

    played(tmp_path, play)


def test_so_many_of_a_tenant_may_wait_and_others_do_not_notice(tmp_path: Path) -> None:
    async def play(door: Door) -> None:
        sent = [door.send(A, f"a{n}") for n in range(3)]
        await door.until_begun("a0")
        with pytest.raises(TooManyRequests, match="2 uploads of tenant a-shop wait"):
            await door.send(A, "a3")
        other = door.send(B, "b")
        await door.until_begun("a0", "b")
        door.let_all_go()
        await asyncio.gather(*sent, other)

    played(tmp_path, play, most_waiting=2)


@pytest.mark.parametrize(
    ("content", "begun"),
    [
        (b"item_id,title\n1,Lamp\n", ["a0", "b0", "moment"]),
        (b"x" * (SMALL_TEXT_BYTES + 1), ["a0", "b0"]),
        (b"PAR1 may be any amount of rows", ["a0", "b0"]),
        (gzip.compress(b"item_id,title\n1,Lamp\n", mtime=0), ["a0", "b0"]),
    ],
)
def test_what_is_read_in_a_moment_waits_for_nothing_large(tmp_path: Path, content: bytes, begun: list[str]) -> None:
    async def play(door: Door) -> None:
        large = [door.send(A, "a0")]
        await door.until_begun("a0")
        large.append(door.send(B, "b0"))
        await door.until_begun("a0", "b0")
        small = tmp_path / "small"
        small.write_bytes(content)
        door.file = small
        sent = door.send(C, "moment")
        if "moment" in begun:
            await door.until_begun(*begun)
        else:
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert door.begun == begun
        door.let_all_go()
        await asyncio.gather(*large, sent)

    played(tmp_path, play)
