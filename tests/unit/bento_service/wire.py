"""Connections of a worker that go nowhere: the guarded protocol, with transports that note what happens to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bento_service.http.client_address import ClientAddress
from bento_service.server.front import Front, FrontLimits
from bento_service.server.guarded_protocol import GuardedProtocol

LIMITS = FrontLimits(header_bytes=4096, header_seconds=10, idle_seconds=15, connections=64, address_connections=32)
GET = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """The server's end of a connection."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 1234)})
        self.sent = b""
        self.unsent = 0
        self.closed = self.aborted = self.ended = self.paused = False

    def write(self, data: Any) -> None:
        assert not (self.closed or self.aborted or self.ended)
        self.sent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class App:
    """Notes the requests, and reads their bodies where they are posted."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []
        self.bodies: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        request = Request(scope, receive)
        await self.gate.wait()
        if scope["method"] == "POST":
            try:
                self.bodies.append(await request.body())
            except ClientDisconnect:
                return
        if scope["path"] == "/stream":
            await StreamingResponse(iter([b"a" * 10, b"b" * 10]))(scope, receive, send)
        else:
            await Response("{}", media_type="application/json")(scope, receive, send)


class Line:
    """A client's connection to a worker."""

    def __init__(self, worker: Worker, peer: str) -> None:
        self.wire = Wire(peer)
        self.protocol = GuardedProtocol(
            worker.front, config=worker.config, server_state=worker.state, app_state={}, _loop=worker.loop
        )
        self.protocol.connection_made(self.wire)

    async def send(self, *pieces: bytes) -> Line:
        for piece in pieces:
            if not self.wire.is_closing():
                self.protocol.data_received(piece)
        for _ in range(50):
            await asyncio.sleep(0)
        return self

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.wire.sent.split(b"HTTP/1.1 ")[1:]]

    @property
    def error(self) -> dict[str, Any]:
        head, _, body = self.wire.sent.rpartition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert b"x-content-type-options: nosniff" in head
        error: dict[str, Any] = json.loads(body)["error"]
        assert f"x-request-id: {error['request_id']}".encode() in head
        return error

    @property
    def gone(self) -> bool:
        return self.wire.closed or self.wire.aborted or self.wire.ended


class Worker:
    """A worker's front and its app."""

    def __init__(self, limits: FrontLimits = LIMITS, trusted: tuple[str, ...] = ()) -> None:
        self.loop = asyncio.get_running_loop()
        self.front = Front(limits, ClientAddress(trusted))
        self.app = App()
        self.config = uvicorn.Config(self.app, log_config=None, proxy_headers=False)
        self.state = ServerState()

    def connect(self, peer: str = "192.0.2.1") -> Line:
        return Line(self, peer)

    def wait(self, seconds: float) -> None:
        self.front.sweep(self.front.now + seconds)


def on_worker(
    test: Callable[[Worker], Awaitable[None]],
    **options: Any,
) -> None:
    async def run() -> None:
        await test(Worker(**options))

    asyncio.run(run())
