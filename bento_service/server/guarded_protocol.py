"""HTTP of one connection: uvicorn's own protocol, and what it leaves to whoever stands in front of it.

uvicorn (0.54) takes headers of any size, which its parser puts together anew with every piece; waits for ever for
the headers of a connection, or for a client that does not read; takes thousands of requests ahead; and reads what is
left of a body after its answer, however much comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bento_service.http.errors import error_response
from bento_service.server.front import NEVER, Front, Refusal

MAX_HEADERS = 100
MAX_AHEAD = 16
"""Requests that a client may send before the answer to the first one."""
LINGER_BYTES = 256 * 1024
"""What is thrown away of a body after an early answer: without that the client might never see the answer."""
LINGER_SECONDS = 2.0
READ_SECONDS = 30.0
READ_BYTES = 32 * 1024
"""A client that does not read so much of its answer in `READ_SECONDS` is given up."""
_FREE_CHUNKS = 4096
_CHUNK_BYTES = 16
_FREE_OVERHEAD = 64 * 1024

_MALFORMED = Refusal(400, "malformed_request", "The request does not keep to HTTP/1.1; send it again.")
_SLOW = Refusal(408, "request_timeout", "The headers of the request did not arrive in time; send the request again.")
_SMALL_CHUNKS = Refusal(400, "malformed_request", "The body comes in too small chunks; send it in larger ones.")
_AHEAD = Refusal(429, "too_many_ahead", f"At most {MAX_AHEAD} requests may be sent before the answer to the first one.")


def guarded(front: Front) -> Callable[..., asyncio.Protocol]:
    """Return what uvicorn makes the protocol of each connection with (`http=`)."""
    return partial(GuardedProtocol, front)


class _Refused(Exception):
    """Stops the parser in a callback; the connection knows why."""


class _Outlet:
    """What uvicorn writes to: the transport, but that closing it is ours."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None], is_closing: Callable[[], bool]) -> None:
        self.write = transport.write
        self.close = close
        self.is_closing = is_closing


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Its callbacks are called by the parser; what they count begins anew with every request."""

    def __init__(self, front: Front, **made_by_uvicorn: Any) -> None:
        super().__init__(**made_by_uvicorn)
        self.deadline = NEVER
        self.since = front.now
        self.served = False
        self._front = front
        self._most = front.limits.header_bytes
        self._socket: asyncio.Transport = None  # type: ignore[assignment]
        self._why: Refusal | None = None
        self._closed = False  # by us: nothing is answered any more
        self._deaf = False  # what comes is thrown away
        self._left = LINGER_BYTES
        self._unsent = 0  # bytes that the client had not read when its time began
        # Of the message that is arriving.
        self._in_headers = True
        self._begun = False  # some of its headers are there
        self._unread = False  # its headers are, its body is not
        self._fed = 0  # bytes of the piece in hand that belong to it
        self._waiting = 0  # bytes of headers so far, in whole pieces
        self._named = 0  # bytes of request line and headers that are complete
        self._headers = 0
        self._keep_alive = False
        self._raw = 0
        self._body = 0
        self._chunks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, or answer why not."""
        super().connection_made(transport)
        self._socket = transport
        self.transport = _Outlet(transport, self._after_answer, self._is_closing)  # type: ignore[assignment]
        refusal = self._front.enter(self, self.client[0] if self.client else "", self.loop)
        if refusal is not None:
            self._answer(refusal)
            self._close(linger=False)
            return
        self.since = self._front.now
        self.deadline = self.since + self._front.limits.header_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no longer."""
        self._closed = True
        self._front.leave(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection with the answer that is in flight."""
        super().shutdown()
        self._keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, within the limits."""
        if self._deaf:
            self._throw_away(len(data))
            return
        self._fed = len(data)
        if not self._in_headers:
            self._raw += self._fed
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # the request is answered as any other, and the connection then closed
            self._deaf = True
        except httptools.HttpParserError:
            self._refuse(self._why or _MALFORMED)
        else:
            if self._in_headers:
                self._waiting += self._fed
                if self._waiting > self._most:
                    self._refuse(self._too_large())
            elif self._raw > 2 * self._body + _FREE_OVERHEAD:
                self._refuse(_SMALL_CHUNKS)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin to count a request."""
        if len(self.pipeline) >= MAX_AHEAD:
            self._stop(_AHEAD)
        super().on_message_begin()
        self._begun = True
        self._waiting = self._named = self._headers = 0
        if not self.flow.write_paused:
            self.deadline = self._front.now + self._front.limits.header_seconds if self._idle() else NEVER

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        self._named += len(url)
        if self._named > self._most:
            self._stop(self._too_large())
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body in chunks is counted and left out."""
        self._named += len(name) + len(value) + 4
        self._headers += 1
        if self._named > self._most or self._headers > MAX_HEADERS:
            self._stop(self._too_large())
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request. Its connection is kept only if its body is read to the end before the answer."""
        super().on_headers_complete()
        self._in_headers = self._begun = False
        self._unread = True
        self._raw = self._body = self._chunks = 0
        self._keep_alive = self.cycle.keep_alive and not self.parser.should_upgrade()
        self.cycle.keep_alive = False
        if not self.flow.write_paused:
            self.deadline = NEVER

    def on_chunk_header(self) -> None:
        """Count a chunk: each costs as much as a few hundred bytes."""
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS and self._body < _CHUNK_BYTES * self._chunks:
            self._stop(_SMALL_CHUNKS)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        super().on_message_complete()
        self._in_headers = True
        self._unread = False
        self._fed = self._waiting = 0
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive

    # What uvicorn and its answers call

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.server_state.total_requests += 1
        self.served = True
        self.since = self._front.now
        if self._is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self.flow.write_paused:
            self.deadline = self._next_deadline()

    def pause_writing(self) -> None:
        """The client does not read: give it some time."""
        super().pause_writing()
        self._unsent = self._socket.get_write_buffer_size()
        self.deadline = self._front.now + READ_SECONDS

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self.deadline = self._next_deadline()

    def _should_upgrade_to_ws(self) -> bool:
        return False

    # What the front calls

    def waits(self) -> bool:
        """Tell whether no request is in flight."""
        return self._idle()

    def end(self) -> None:
        """Close the connection: another one needs its place."""
        self._close(linger=False)

    def expire(self, now: float) -> None:
        """End what has waited too long: for headers, for the next request, or for a client that does not read."""
        if self._closed:
            self._socket.abort()
        elif self.flow.write_paused:
            unsent = self._socket.get_write_buffer_size()
            if self._unsent - unsent < READ_BYTES:
                self._front.note("not_read")
                self._socket.abort()
            self._unsent, self.deadline = unsent, now + READ_SECONDS
        elif self._begun:
            self._refuse(_SLOW)
        else:
            self._close(linger=False)

    # Inside

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_closing(self) -> bool:
        return self._closed or self._socket.is_closing()

    def _next_deadline(self) -> float:
        limits = self._front.limits
        if self._closed:
            return self._front.now + LINGER_SECONDS
        if not self._idle():
            return NEVER
        return self._front.now + (limits.header_seconds if self._begun else limits.idle_seconds)

    def _too_large(self) -> Refusal:
        return Refusal(
            431,
            "headers_too_large",
            f"Request line and headers may have {self._most:,} bytes together, and {MAX_HEADERS} headers. Send less: "
            "what is long belongs into a body.",
        )

    def _stop(self, refusal: Refusal) -> None:
        self._why = refusal
        raise _Refused

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection: with this answer, with the one that is in flight, or at once."""
        self._front.note(refusal.code)
        if self._idle():
            self._answer(refusal)
            self._close(linger=True)
        elif self.pipeline or (self._unread and self.cycle.response_started):
            self._socket.abort()
        elif self._unread:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._answer(refusal)
            self._close(linger=True)
        else:
            self.cycle.keep_alive = False
            self._deaf = True

    def _answer(self, refusal: Refusal) -> None:
        request_id = uuid4().hex
        headers = {"Connection": "close", "X-Request-ID": request_id, "X-Content-Type-Options": "nosniff"}
        if refusal.status in (429, 503):
            headers["Retry-After"] = "1"
        answer = error_response(
            refusal.status, code=refusal.code, message=refusal.message, request_id=request_id, headers=headers
        )
        lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        self._socket.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", bytes(answer.body)]))

    def _after_answer(self) -> None:
        self._close(linger=self._unread)

    def _close(self, *, linger: bool) -> None:
        """Close after what is written; with `linger` the other side is read a little longer, and not understood."""
        if self._closed:
            return
        self._closed = self._deaf = True
        self.pipeline.clear()
        self.deadline = self._front.now + LINGER_SECONDS
        if linger and self._socket.can_write_eof():
            self.flow.resume_reading()
            self._socket.write_eof()
        else:
            self._socket.close()

    def _throw_away(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._socket.abort()
