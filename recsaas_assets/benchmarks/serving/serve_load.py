"""The load tool of the serving benchmarks: one thread, raw sockets, one request at a time on each connection.

It takes a few hundredths of a millisecond of processor time per request, so that it hardly slows the server down that
shares the cores with it, and it waits to a tenth of a millisecond, which event loops do not.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_GRACE_SECONDS = 20.0
_LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """A load for a service: the requests, and how they are sent.

    Attributes:
        requests: whole HTTP/1.1 requests, sent in turn, from the start again after the last.
        connections: that are held open; each has one request in flight at most.
        rate: requests a second, evenly spaced, whatever the server does. `None`: each connection sends as soon as it
            has its answer, which is saturation.
        warm_seconds: sent before `seconds`, and not counted.
    """

    port: int
    requests: tuple[bytes, ...]
    seconds: float
    connections: int = 16
    rate: float | None = None
    warm_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Answers with status 200 and everything else (`errors`, of which the first few are kept).

    `milliseconds` `(n,)` of the answers: from the moment the request was sent or, with a rate, should have been sent.
    `cpu_seconds` is what the load tool itself took, and `answers` counts those of warming up and the errors, too.
    """

    seconds: float
    milliseconds: NDArray[np.float64]
    errors: int
    first_errors: tuple[str, ...]
    cpu_seconds: float
    answers: int


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """One answer, for whoever looks at each: times are of `time.monotonic`, status 0 is a lost connection."""

    request: bytes
    sent_at: float
    received_at: float
    status: int
    body: bytes


@dataclass(slots=True)
class _Connection:
    port: int
    socket: socket.socket = field(init=False)
    request: bytes = b""
    due: float = 0.0
    sent_at: float = 0.0
    got: bytes = b""
    whole: int = 0
    busy: bool = False

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)


class LoadRun:
    """One run of a load; `stop` ends it early, from another thread."""

    def __init__(self, load: Load, seen: Callable[[SeenAnswer], None] | None = None) -> None:
        self._load = load
        self._seen = seen
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._next = 0
        self._stopped = False
        self._milliseconds: list[float] = []
        self._errors: list[str] = []
        self._answers = 0
        self._count_from = 0.0
        self._ended = 0.0

    def stop(self) -> None:
        """Send no more requests."""
        self._stopped = True

    def run(self) -> LoadResult:
        """Send the load, and wait for the last answers."""
        load = self._load
        for _ in range(load.connections):
            self._connect(_Connection(load.port))
        cpu = time.thread_time()
        start = time.monotonic()
        self._count_from = start + load.warm_seconds
        end = self._count_from + load.seconds
        scheduled = 0
        in_flight = load.connections
        while True:
            now = time.monotonic()
            sending = now < end and not self._stopped
            timeout = 0.5
            if sending and load.rate is None:
                while self._idle:
                    self._send(self._idle.popleft(), now)
            elif load.rate is not None and not self._stopped:
                # All that were due before the end, also when this thread wakes after it.
                while (due := start + scheduled / load.rate) <= now and due < end:
                    self._waiting.append(due)
                    scheduled += 1
                timeout = max(0.0, due - time.monotonic()) if due < end else timeout
            while self._waiting and self._idle:
                self._send(self._idle.popleft(), self._waiting.popleft())
            in_flight = load.connections - len(self._idle)
            if not sending and not self._waiting and (not in_flight or now > end + _GRACE_SECONDS):
                break
            # epoll by itself waits in whole milliseconds.
            if select.select([self._poll.fileno()], [], [], timeout)[0]:
                for descriptor, _ in self._poll.poll(0):
                    if (connection := self._connections.get(descriptor)) is not None:
                        self._receive(connection)
        self._errors.extend("no answer" for _ in range(in_flight))
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()
        return LoadResult(
            seconds=max(self._ended, self._count_from) - self._count_from,
            milliseconds=np.array(self._milliseconds),
            errors=len(self._errors),
            first_errors=tuple(self._errors[:5]),
            cpu_seconds=time.thread_time() - cpu,
            answers=self._answers,
        )

    def _connect(self, connection: _Connection) -> None:
        connection.open()
        connection.busy = False
        self._connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self._idle.append(connection)

    def _send(self, connection: _Connection, due: float) -> None:
        connection.request = self._load.requests[self._next]
        self._next = (self._next + 1) % len(self._load.requests)
        connection.due, connection.got, connection.whole, connection.busy = due, b"", 0, True
        connection.sent_at = time.monotonic()
        try:
            connection.socket.sendall(connection.request)
        except OSError:
            self._lost(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(connection)
            return
        connection.got = connection.got + data if connection.got else data
        if not connection.whole:
            connection.whole = _length(connection.got)
        if connection.whole and len(connection.got) >= connection.whole:
            head, _, body = connection.got.partition(b"\r\n\r\n")
            self._note(connection, int(head[9:12]), body)
            connection.busy = False
            self._idle.append(connection)

    def _lost(self, connection: _Connection) -> None:
        """Open the connection again; the server may close one that is not in use."""
        descriptor = connection.socket.fileno()
        self._poll.unregister(descriptor)
        del self._connections[descriptor]
        connection.socket.close()
        if connection.busy:
            self._note(connection, 0, b"")
        elif connection in self._idle:
            self._idle.remove(connection)
        self._connect(connection)

    def _note(self, connection: _Connection, status: int, body: bytes) -> None:
        now = time.monotonic()
        self._answers += 1
        if self._seen is not None:
            self._seen(SeenAnswer(connection.request, connection.sent_at, now, status, body))
        if status != 200:
            self._errors.append(f"{status} {body[:200].decode(errors='replace')}")
        elif connection.due >= self._count_from:
            self._milliseconds.append((now - connection.due) * 1000)
            self._ended = now


def run_load(load: Load) -> LoadResult:
    """Send a load and return what came back."""
    return LoadRun(load).run()


def http_request(method: str, path: str, *, key: str = "", body: bytes = b"") -> bytes:
    """Return a whole request; the connection is kept."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if body:
        head.append("Content-Type: application/json")
    if key:
        head.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*head, "", ""]).encode() + body


def percentiles(milliseconds: NDArray[np.float64] | Sequence[float]) -> dict[str, float]:
    """Return `p50_ms`, `p95_ms` and `p99_ms` of `milliseconds` (n,); NaN without an answer."""
    if not len(milliseconds):
        return {f"p{level}_ms": float("nan") for level in (50, 95, 99)}
    return {f"p{level}_ms": round(float(np.percentile(milliseconds, level)), 3) for level in (50, 95, 99)}


def _length(got: bytes) -> int:
    """Return how long the answer is, head included, or 0 while the head is not there yet."""
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return 0
    at = got[:end].lower().find(_LENGTH)
    if at < 0:
        return end + 4
    value = got[at + len(_LENGTH) : end].split(b"\r\n", 1)[0]
    return end + 4 + int(value)
