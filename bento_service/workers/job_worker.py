"""Threads that work on jobs, behind everything else in the process, so that answers are not slowed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.jobs.claims import OUTAGES, RENEW_SECONDS, claimant_name, kept_claim
from resources.processes.interpreter import STOP_SECONDS

_POLL_SECONDS = 1.0
_log = structlog.get_logger("recsaas.jobs")
Job = TypeVar("Job")
Done = TypeVar("Done")


class JobWorker(ABC, Generic[Job, Done]):
    """Works on the jobs of any tenant that wait in the control DB, whichever process has queued them.

    The claim of a job is renewed here from the beginning to the end of the work: a child that is slow to start, or that
    the machine gives no time, keeps it.

    Args:
        purpose: names the threads.
        lanes: how many jobs are worked on at the same time.
    """

    def __init__(self, purpose: str, *, lanes: int = 1) -> None:
        """Start nothing yet."""
        self.name = claimant_name()
        self._purpose = purpose
        self._wake = Event()
        self._stop = Event()
        self._in_hand: set[Event] = set()
        self._changing = Lock()
        self._threads = [Thread(target=self._loop, name=f"{purpose}-worker-{n}", daemon=True) for n in range(lanes)]

    def start(self) -> None:
        """Begin to look for work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for work now: some was just queued."""
        self._wake.set()

    def stop(self) -> None:
        """Interrupt the work and put its jobs back into the queue; work that does not listen is left behind."""
        with self._changing:
            self._stop.set()
            for interrupt in self._in_hand:
                interrupt.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS + 2)

    def run_next(self) -> bool:
        """Work on one job; tell whether there was one."""
        job = self._claim()
        if job is None:
            return False
        started = perf_counter()
        interrupted = False
        try:
            with self._kept(job) as interrupt:
                try:
                    done = self._work(job, interrupt)
                finally:
                    interrupted = interrupt.is_set()
        except Exception as error:  # the edge: whatever a job does to its work, the job ends and the thread goes on
            self._broke_off(job, error, interrupted=interrupted)
            return True
        if done is not None:
            self._finished(job, done, perf_counter() - started)
        return True

    @abstractmethod
    def _claim(self) -> Job | None:
        """Take the next job."""

    @abstractmethod
    def _renew(self, job: Job) -> bool:
        """Keep the claim of a job in hand; False when another process has it now."""

    @abstractmethod
    def _work(self, job: Job, interrupt: Event) -> Done | None:
        """Work on a claimed job until `interrupt`; None when it is not finished by this."""

    @abstractmethod
    def _finished(self, job: Job, done: Done, seconds: float) -> None:
        """Note a finished job."""

    @abstractmethod
    def _broke_off(self, job: Job, error: Exception, *, interrupted: bool) -> None:
        """Note that the work raised; `interrupted` says that it was to end anyway."""

    def _rest(self) -> None:
        """Called when nothing waits, about once a second; most have nothing to do then."""

    @contextmanager
    def _kept(self, job: Job) -> Iterator[Event]:
        """Renew the claim meanwhile. The event is set when the work is to end: it is another's now, or all stops."""
        interrupt = Event()
        with self._changing:
            self._in_hand.add(interrupt)
            if self._stop.is_set():
                interrupt.set()
        try:
            keep = kept_claim(
                lambda: self._renew(job), every=RENEW_SECONDS, name=f"{self._purpose}-claim", lost=interrupt
            )
            with keep:
                yield interrupt
        finally:
            with self._changing:
                self._in_hand.discard(interrupt)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                worked = self.run_next()
                if not worked:
                    self._rest()
            except Exception as error:  # the edge: a thread that ended would leave all later jobs waiting for ever
                known = isinstance(error, (SQLAlchemyError, *OUTAGES))
                _log.error("job_worker_waits", kind=type(error).__name__, exc_info=None if known else error)
                worked = False
            if not worked and not self._stop.is_set():  # `stop` may have come before the `clear` above
                self._wake.wait(_POLL_SECONDS)
