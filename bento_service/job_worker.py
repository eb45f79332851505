"""A thread that works on jobs, one at a time per process, so that answers are not slowed."""

from __future__ import annotations

import os
import secrets
import socket
from abc import ABC, abstractmethod
from threading import Event, Thread
from time import perf_counter
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.child import STOP_SECONDS
from resources.claims import OUTAGES

_POLL_SECONDS = 1.0
_log = structlog.get_logger("recsaas.jobs")
Job = TypeVar("Job")
Done = TypeVar("Done")


class JobWorker(ABC, Generic[Job, Done]):
    """Works on the jobs of any tenant that wait in the control DB, whichever process has queued them."""

    def __init__(self, purpose: str) -> None:
        """Start nothing yet."""
        # Another name at every start: a process must not take the claim of its dead predecessor for its own.
        self.name = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._wake = Event()
        self._stop = Event()
        self._thread = Thread(target=self._loop, name=f"{purpose}-worker", daemon=True)

    def start(self) -> None:
        """Begin to look for work."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work now: some was just queued."""
        self._wake.set()

    def stop(self) -> None:
        """Interrupt the work and put its job back into the queue; work that does not listen is left behind."""
        self._stop.set()
        self._wake.set()
        self._thread.join(STOP_SECONDS + 2)

    def run_next(self) -> bool:
        """Work on one job; tell whether there was one."""
        job = self._claim()
        if job is None:
            return False
        started = perf_counter()
        try:
            done = self._work(job)
        except Exception as error:  # the edge: whatever a job does to its work, the job ends and the thread goes on
            self._broke_off(job, error)
            return True
        if done is not None:
            self._finished(job, done, perf_counter() - started)
        return True

    @abstractmethod
    def _claim(self) -> Job | None:
        """Take the next job."""

    @abstractmethod
    def _work(self, job: Job) -> Done | None:
        """Work on a claimed job until `_stop`; None when it is not finished by this."""

    @abstractmethod
    def _finished(self, job: Job, done: Done, seconds: float) -> None:
        """Note a finished job."""

    @abstractmethod
    def _broke_off(self, job: Job, error: Exception) -> None:
        """Note that the work raised."""

    def _rest(self) -> None:
        """Called when nothing waits, about once a second; most have nothing to do then."""

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                worked = self.run_next()
                if not worked:
                    self._rest()
            except (SQLAlchemyError, *OUTAGES) as error:
                _log.error("job_worker_waits", kind=type(error).__name__)
                worked = False
            if not worked and not self._stop.is_set():  # `stop` may have come before the `clear` above
                self._wake.wait(_POLL_SECONDS)
