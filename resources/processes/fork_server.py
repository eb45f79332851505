"""The program of the fork server: it forks children and says how they ended. `forked.py` is its other side.

It has one thread of Python and never computes anything, so that no lock of a library is held when it forks.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from resources.processes.process import end_with_parent

_FDS = 4
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def serve(control: int, modules: Sequence[str]) -> None:
    """Fork a child for every message on the socket `control`, until its other end is closed; then end all of them."""
    for module in modules:
        import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what was imported
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector, socket.socket(fileno=control) as orders:
        with suppress(OSError):
            orders.send(b"i")  # the imports are done
        selector.register(orders, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == waking:
                    os.read(waking, 4096)
                    _tell_ends(children, selector)
                elif key.fileobj is orders:
                    message, fds = _received(orders)
                    if not message:
                        _kill(*children)
                        return
                    pid = _forked(*fds[:3])
                    children[pid] = socket.socket(fileno=fds[3])
                    with suppress(OSError):
                        children[pid].send(b"f")  # it has begun
                    selector.register(children[pid], selectors.EVENT_READ, pid)
                elif key.data in children:  # whoever has asked for it is gone, or wants no more of it
                    _kill(key.data)
                    selector.unregister(key.fileobj)


def _received(orders: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next message with its open files; an empty one when the other end is closed."""
    try:
        message, fds, _, _ = socket.recv_fds(orders, 1, _FDS)
    except ConnectionResetError:  # it was closed before it had read that the imports are done
        return b"", []
    return message, fds


def _tell_ends(children: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while children:
        pid, status, used = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            return
        channel = children.pop(pid)
        with suppress(KeyError):
            selector.unregister(channel)
        with channel, suppress(OSError):
            channel.send(f"{os.waitstatus_to_exitcode(status)} {used.ru_maxrss * _RSS_UNIT}".encode())


def _kill(*children: int) -> None:
    for child in children:
        os.kill(child, signal.SIGKILL)


def _forked(listening: int, writing: int, saying: int) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for number, given in enumerate((listening, writing, saying)):
                os.dup2(given, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            _become_child(server)
            _work()
            status = 0
        finally:  # nothing may lead a child back into the loop of the server, a disk that is full neither
            try:
                if status:
                    traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)
    for given in (listening, writing, saying):
        os.close(given)
    return pid


def _become_child(server: int) -> None:
    signal.set_wakeup_fd(-1)
    # What a parent ignores would be ignored here, too.
    for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(signal.SIGKILL)
    if os.getppid() != server:  # it ended before we asked to be told
        os._exit(1)
    os.setsid()


def _work() -> None:
    with open(0, "rb", closefd=False) as orders:
        order = json.loads(orders.read())
    os.environ.clear()
    os.environ.update(order["environment"])
    _limit(**order["limits"])
    module = import_module(order["module"])
    with open(1, "w", encoding="utf-8", closefd=False) as answers:

        def tell(what: Any) -> None:
            answers.write(json.dumps({"told": what}) + "\n")
            answers.flush()

        returned = module.main(order["request"], tell)
        answers.write(json.dumps({"returned": returned}) + "\n")


def _limit(memory_bytes: int, cpu_seconds: int, wall_seconds: int, niceness: int) -> None:
    """Let the kernel end this process at its limits: it needs no thread of ours that gets its turn."""
    os.nice(niceness)
    with suppress(OSError):  # when the machine is out of memory, the kernel ends this one first
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Linux shares the processor between sessions first, where it groups by them, and only then by niceness.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    most = _data_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.alarm(wall_seconds)


def _data_bytes() -> int:
    """Memory that counts towards the limit already; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    return 0
