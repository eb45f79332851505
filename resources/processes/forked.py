"""Work in a child that is there in milliseconds and ends at its limits, for bytes that a stranger has sent.

A process of its own, the fork server, has imported the modules once and does nothing but fork; so a child starts
without their import time, and without the threads and locks of whoever asks. It may crash, hang or grow: the kernel
ends it at its limits, and it ends with its parent. Where a second does not matter, `interpreter.py` starts a
fresh one.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from select import POLLERR, POLLHUP, POLLIN, poll
from time import monotonic
from typing import IO, Any

from resources.processes.interpreter import ChildBroke

LISTEN_SECONDS = 0.5
_END_SECONDS = 1.0
_HEAR_SECONDS, _IMPORT_SECONDS = 20.0, 120.0
"""A fork server that does not begin a child for so long is stopped or stuck, and replaced; its imports take longer."""
_LATE_SECONDS = 30.0
"""Beyond its time a child that was stopped is given up: the kernel's alarm does not end it."""
_SAID_BYTES, _TOLD_BYTES = 64 * 1024, 4000
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from resources.processes.fork_server import serve; serve(int(sys.argv[1]), sys.argv[2:])"
)
_OUT_OF_MEMORY = re.compile(r"memory allocation of (\d+) bytes|MemoryError|bad_alloc|Cannot allocate memory")
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
_MUCH = 4
_NO_SIZE = 1 << 40
"""Bytes of one request for memory that say that its size was read from damaged data."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Limits of a child: memory beyond that of its start in bytes, CPU seconds of all its threads, seconds.

    `niceness` is how far it steps back for others that want the processor.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int
    niceness: int


class ChildDied(Exception):
    """The death of a child by what it worked on; `limit` says which limit was hit, or is None after a crash.

    The message is what the child said last.
    """

    def __init__(self, said: str, *, limit: str | None) -> None:
        super().__init__(said)
        self.limit = limit


class ForkServer:
    """Starts children that have imported `modules`; itself started when it is first needed, or by `start`."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def start(self) -> None:
        """Start the fork server, unless it runs; it imports its modules by itself and keeps nobody waiting."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End the fork server and its children."""
        with self._lock:
            control, process, self._control, self._process = self._control, self._process, None, None
        if control is not None and process is not None and self._owner == os.getpid():
            control.close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(
        self,
        module: str,
        request: dict[str, Any],
        *,
        limits: ChildLimits,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Any:
        """Call `main(request, tell)` of a module in a child, and return what it returns; both are JSON.

        `on_progress` gets what the child has told last, or None, again and again as long as it works; what it raises
        ends the child.

        Raises:
            ChildDied: a limit or a crash has ended the child.
            ChildBroke: it ended otherwise, with an error that it did not expect or by somebody's hand.
        """
        order = {"module": module, "request": request, "limits": asdict(limits), "environment": {**os.environ}}
        with tempfile.TemporaryFile() as said:
            channel, answers = self._fork(json.dumps(order).encode(), said)
            with channel, open(answers, "rb", buffering=0) as stream:
                last = _outcome(stream.fileno(), on_progress, seconds=limits.wall_seconds + _LATE_SECONDS)
                if last and "returned" in last:
                    return last["returned"]
                code, memory = _status(channel)
            raise _death(code, memory, _end_of(said), limits)

    def _fork(self, order: bytes, said: IO[bytes]) -> tuple[socket.socket, int]:
        """Have a child begin; a fork server that was ended or stopped by somebody's hand is replaced, once."""
        for _ in range(2):
            channel, theirs = socket.socketpair()
            reading, writing = os.pipe()
            listening, telling = os.pipe()
            with theirs, open(writing, "wb"), open(listening, "rb"), self._lock:
                process, seconds = self._send([listening, writing, said.fileno(), theirs.fileno()])
            channel.settimeout(seconds)
            if _has_begun(channel):
                with suppress(BrokenPipeError), open(telling, "wb") as orders:  # its status says why it did not listen
                    orders.write(order)
                return channel, reading
            channel.close()
            for end in (reading, telling):
                os.close(end)
            self._give_up(process)
        raise ChildBroke("The fork server does not answer.")

    def _send(self, fds: list[int]) -> tuple[subprocess.Popen[bytes], float]:
        """Ask for a child; return who was asked, and how long that may take."""
        control = self._running()
        assert self._process is not None
        said = poll()
        said.register(control, POLLIN)
        imported = bool(said.poll(0))  # it has said so, and nobody takes that away
        with suppress(OSError):  # it is gone: nobody will say that the child has begun
            socket.send_fds(control, [b"f"], fds)
        return self._process, _HEAR_SECONDS if imported else _IMPORT_SECONDS

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        """End a fork server that does not answer, and with it its children."""
        with self._lock:
            process.kill()
            process.wait()

    def _running(self) -> socket.socket:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            assert self._control is not None
            return self._control
        if self._control is not None:
            self._control.close()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(_HEAR_SECONDS)
        package = str(Path(__file__).absolute().parents[2])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, package, str(theirs.fileno()), *self._modules],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a key press that stops the service is not for the fork server
            )
        if self._owner != os.getpid():
            atexit.register(self.stop)
        self._control, self._owner = control, os.getpid()
        return control


def _has_begun(channel: socket.socket) -> bool:
    try:
        return bool(channel.recv(1))
    except OSError:
        return False


def _status(channel: socket.socket) -> tuple[int, int]:
    """Return a child's exit status, or the negative signal, and its memory; 1 when there is nobody to say so."""
    try:
        code, memory = map(int, channel.recv(64).split() or (1, 0))
    except TimeoutError:
        return 1, 0
    return code, memory


def _outcome(stream: int, on_progress: Callable[[Any], None] | None, *, seconds: float) -> Any:
    """Read JSON lines to the end; the last one is the outcome."""
    held, last = b"", None
    over = monotonic() + seconds
    ready = poll()  # `select` takes no numbers over 1024, and a service has more connections than that
    ready.register(stream, POLLIN | POLLHUP | POLLERR)
    while True:
        if ready.poll(LISTEN_SECONDS * 1000):
            piece = os.read(stream, 1 << 16)
            if not piece:
                return last
            *lines, held = (held + piece).split(b"\n")
            last = json.loads(lines[-1]) if lines else last
        if monotonic() > over:
            raise ChildDied("it has not ended at its limit", limit="wall")
        if on_progress is not None:
            on_progress(last and last.get("told"))


def _death(code: int, memory: int, said: str, limits: ChildLimits) -> Exception:
    """Say how a child has ended that did not end well, from its exit status or the negative signal, and its memory."""
    told = said[-_TOLD_BYTES:]
    out_of_memory = _OUT_OF_MEMORY.search(said)
    if code == -signal.SIGXCPU:
        return ChildDied(told, limit="cpu")
    if code == -signal.SIGALRM:
        return ChildDied(told, limit="wall")
    # The kernel does that when the machine is out of memory; to a small one, somebody did it by hand.
    if code == -signal.SIGKILL and memory > limits.memory_bytes // _MUCH:
        return ChildDied(told, limit="memory")
    if out_of_memory is not None and int(out_of_memory[1] or 0) < _NO_SIZE:
        return ChildDied(told, limit="memory")
    if -code in _CRASHES:
        return ChildDied(told, limit=None)
    return ChildBroke(f"exit status {code}: {told}")


def _end_of(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID_BYTES))
    return said.read().decode(errors="replace")
