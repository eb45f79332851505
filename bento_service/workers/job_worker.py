"""Threads that work on jobs, behind everything else in the process, so that answers are not slowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from time import monotonic, perf_counter
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.claims import OUTAGES, RENEW_SECONDS, claimant_name, kept_claim
from resources.jobs.model import Job, JobKind, Outcome
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobHandler, JobRunner
from resources.processes.interpreter import STOP_SECONDS

_POLL_SECONDS = 1.0
_TIDY_SECONDS = 600.0
_log = structlog.get_logger("recsaas.jobs")


class RunJob(Protocol):
    """Works on a job that `worker` has claimed, until `stop`; None when it is not finished by this."""

    def __call__(self, job: Job, *, worker: str, stop: Event) -> Outcome | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedKind:
    """How a service works on the jobs of one kind.

    Attributes:
        handler: does them.
        at_once: how many this process works on at the same time.
        most_of_one: how many of one tenant, in all processes together; None: any number.
        run: does a claimed job elsewhere, as in a child process; None: the handler does it in this thread.
        tell: logs and counts an ended job; it gets the seconds that the work took.
        tidy: called every ten minutes when nothing waits.
    """

    handler: JobHandler
    at_once: int
    most_of_one: int | None = None
    run: RunJob | None = None
    tell: Callable[[Job, Outcome, float], None]
    tidy: Callable[[], object] | None = None


class JobWorker:
    """Works on the jobs of any tenant that wait in the control DB, whichever process has queued them.

    The claim of a job is renewed here from the beginning to the end of the work: a child that is slow to start, or that
    the machine gives no time, keeps it.

    Args:
        kinds: the kinds of job that this process works on, and how.
        count: called when a job was taken or has ended, to show how many there are.
    """

    def __init__(
        self, db: ControlDb, clock: Clock, kinds: Mapping[JobKind, WorkedKind], *, count: Callable[[], None]
    ) -> None:
        """Start nothing yet."""
        self.name = claimant_name()
        self.count = count
        self._kinds = kinds
        self._wake = Event()
        self._stop = Event()
        self._in_hand: dict[Event, JobKind] = {}
        self._changing, self._claiming = Lock(), Lock()
        self._tidied_at: float | None = None
        self._runner = JobRunner(
            JobQueue(db, clock, self.name),
            {kind: worked.handler for kind, worked in kinds.items()},
            self._stop,
            {kind: worked.most_of_one for kind, worked in kinds.items() if worked.most_of_one is not None},
        )
        lanes = sum(worked.at_once for worked in kinds.values())
        self._threads = [Thread(target=self._loop, name=f"job-worker-{n}", daemon=True) for n in range(lanes)]

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
        taken = self._take()
        if taken is None:
            return False
        (job, interrupt), started = taken, perf_counter()
        interrupted = False
        try:
            with self._kept(job, interrupt):
                self._count()
                try:
                    outcome = self._work(job, interrupt)
                finally:
                    interrupted = interrupt.is_set()
        except Exception as error:  # the edge: whatever a job does to its work, the job ends and the thread goes on
            _log.error("job_broke_off", kind=job.kind.value, tenant=job.tenant.value, job_id=job.id, exc_info=error)
            self._runner.give_up(job, error, interrupted=interrupted)
            return True
        if outcome is not None:
            self._kinds[job.kind].tell(job, outcome, perf_counter() - started)
            self._count()
        return True

    def _count(self) -> None:
        try:
            self.count()
        except (SQLAlchemyError, *OUTAGES) as error:  # a figure that is late holds no job up
            _log.warning("jobs_not_counted", kind=type(error).__name__)

    def _take(self) -> tuple[Job, Event] | None:
        """Claim a job of a kind that this process has room for, with the event that interrupts its work."""
        with self._claiming:
            with self._changing:
                in_hand = Counter(self._in_hand.values())
            room = [kind for kind, worked in self._kinds.items() if in_hand[kind] < worked.at_once]
            job = self._runner.claim(room) if room else None
            if job is None:
                return None
            interrupt = Event()
            with self._changing:
                self._in_hand[interrupt] = job.kind
                if self._stop.is_set():
                    interrupt.set()
        return job, interrupt

    def _work(self, job: Job, interrupt: Event) -> Outcome | None:
        run = self._kinds[job.kind].run
        if run is None:
            return replace(self._runner, stop=interrupt).run(job)
        return run(job, worker=self.name, stop=interrupt)

    @contextmanager
    def _kept(self, job: Job, interrupt: Event) -> Iterator[None]:
        """Renew the claim meanwhile. The event is set when the work is to end: it is another's now, or all stops."""
        try:
            queue = self._runner.queue
            with kept_claim(lambda: queue.renew(job), every=RENEW_SECONDS, name="job-claim", lost=interrupt):
                yield
        finally:
            with self._changing:
                self._in_hand.pop(interrupt)

    def _tidy(self) -> None:
        with self._changing:
            if self._tidied_at is not None and monotonic() - self._tidied_at < _TIDY_SECONDS:
                return
            self._tidied_at = monotonic()
        for worked in self._kinds.values():
            if worked.tidy is not None:
                worked.tidy()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                worked = self.run_next()
                if not worked:
                    self._tidy()
            except Exception as error:  # the edge: a thread that ended would leave all later jobs waiting for ever
                known = isinstance(error, (SQLAlchemyError, *OUTAGES))
                _log.error("job_worker_waits", kind=type(error).__name__, exc_info=None if known else error)
                worked = False
            if not worked and not self._stop.is_set():  # `stop` may have come before the `clear` above
                self._wake.wait(_POLL_SECONDS)
