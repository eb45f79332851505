"""Workers as forked copies of a parent that has imported everything: one that dies is replaced within a moment.

A fresh Python takes five seconds of processor time to import what the service needs. The parent only watches: it opens
no database, reads no request and starts no thread, so there is nothing in it that a fork could copy half-done.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import structlog

from resources.processes.process import end_with_parent

Started = Callable[[], None]
"""To be called by a worker when it answers."""
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
_BROKEN = 70
"""Exit status of a worker that ended with an exception (EX_SOFTWARE of sysexits.h)."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_log = structlog.get_logger("recsaas.workers")


class NoWorkerStarted(Exception):
    """A worker ended before any had answered; its own message is in the log."""


@dataclass(slots=True)
class _Worker:
    """A running process; a byte arrives in `tells` when it answers."""

    pid: int
    tells: int
    started: bool = False

    def listen(self) -> None:
        """Note what the worker has told by now."""
        with suppress(BlockingIOError):
            self.started |= os.read(self.tells, 1) == b"1"


class Workers:
    """`count` processes that each do `work`, until SIGTERM or SIGINT.

    A worker that dies is replaced at once. One that dies before it has started would die again, so the next one waits,
    twice as long each time up to half a minute; while none has ever started, that is the end. `ended` is told the
    process id of each that has ended.
    """

    def __init__(self, count: int, work: Callable[[Started], None], ended: Callable[[int], None]) -> None:
        self._count = count
        self._work = work
        self._tell_end = ended
        self._running: dict[int, _Worker] = {}
        self._failures = 0
        self._not_before = 0.0
        self._ever_started = False
        self._stopping = False

    def run(self) -> None:
        """Keep the workers running; returns when all have ended after a signal.

        Raises:
            NoWorkerStarted: a worker ended before any had started.
        """
        before = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        try:
            while not self._stopping:
                self._start_missing()
                self._wait(woken)
                self._reap()
        finally:
            self._end_all()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            for end in (woken, wake):
                os.close(end)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._stopping |= number != signal.SIGCHLD

    def _start_missing(self) -> None:
        while len(self._running) < self._count and time.monotonic() >= self._not_before:
            parent = os.getpid()
            tells, told = os.pipe()
            # A signal for the worker must not end up in the handler that it has from us until it puts in its own.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            pid = os.fork()
            if pid == 0:
                _be_worker(self._work, told, parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(told)
            os.set_blocking(tells, False)
            self._running[pid] = _Worker(pid, tells)

    def _wait(self, woken: int) -> None:
        """Until a signal comes, a worker tells that it has started, or the next one is due."""
        starting = [worker.tells for worker in self._running.values() if not worker.started]
        missing = len(self._running) < self._count
        select.select([woken, *starting], [], [], max(0.0, self._not_before - time.monotonic()) if missing else None)
        with suppress(BlockingIOError):
            os.read(woken, 4096)
        for worker in self._running.values():
            worker.listen()
            self._ever_started |= worker.started

    def _reap(self) -> None:
        for worker in list(self._running.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.listen()
                self._forget(worker)
                self._note_end(worker, os.waitstatus_to_exitcode(status))

    def _note_end(self, worker: _Worker, code: int) -> None:
        self._ever_started |= worker.started
        if worker.started:
            self._failures = 0
            if not self._stopping:
                _log.error("worker_ended", pid=worker.pid, status=code)
        elif not self._ever_started:
            raise NoWorkerStarted(f"A worker ended with status {code} before it could answer.")
        else:
            waits = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**self._failures)
            self._failures += 1
            self._not_before = time.monotonic() + waits
            _log.error("worker_did_not_start", pid=worker.pid, status=code, next_in_seconds=waits)

    def _forget(self, worker: _Worker) -> None:
        del self._running[worker.pid]
        os.close(worker.tells)
        self._tell_end(worker.pid)

    def _end_all(self) -> None:
        """Have every worker answer what it has begun, and wait for it."""
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for worker in list(self._running.values()):
            os.waitpid(worker.pid, 0)
            self._forget(worker)


def _be_worker(work: Callable[[Started], None], told: int, parent: int) -> None:
    """Be the worker from here on; never returns."""
    code = _BROKEN
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        end_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if os.getppid() == parent:  # else it died before we asked to be told
            work(lambda: _tell(told))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else _BROKEN
    finally:
        try:
            if code == _BROKEN and (kind := sys.exc_info()[0]) is not None:
                sys.excepthook(kind, *sys.exc_info()[1:])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # a disk that is full must not lead a worker back into the loop of its parent
            os._exit(code)


def _tell(told: int) -> None:
    os.write(told, b"1")
