"""Working on claimed jobs, whatever their kind: from claim to end, with stops, outages and errors in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from resources.jobs.claims import OUTAGES, RENEW_SECONDS, kept_claim
from resources.jobs.model import Job, JobError, JobKind, JobStatus, Outcome, Progress
from resources.jobs.queue import JobQueue
from resources.jobs.registry import POLICIES

_LOOK_SECONDS = 0.5
"""How soon a process notices that its job was cancelled, or is another one's."""


class JobInterrupted(Exception):
    """The process stops, or the job is not its own any more: it is to be begun anew, as if nobody had begun it."""


class TryAgain(Exception):
    """The job failed in a way that may pass; `error` is what it ends with when its attempts are used up."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


class JobControl:
    """The tie between a handler and the queue while a job is worked on."""

    def __init__(self, queue: JobQueue, job: Job, stop: threading.Event) -> None:
        self._queue, self._job, self._stop = queue, job, stop
        self._lost = threading.Event()
        self._progress: Progress | None = None
        self._written_at = time.monotonic()
        self.ended = False

    def note(self, progress: Progress) -> None:
        """Note how far the job is; it is written down now and then.

        Raises:
            JobInterrupted: the work is to end.
        """
        self._progress = progress
        if self._stop.is_set() or self._lost.is_set():
            raise JobInterrupted

    def keep(self) -> bool:
        """Renew the claim and write the progress down now; False when the job is not this process's any more."""
        self._written_at = time.monotonic()
        return self._queue.renew(self._job) if self._progress is None else self._queue.note(self._job, self._progress)

    def end(self, outcome: Outcome) -> bool:
        """End the job now, before the handler returns; False when it is not this process's any more."""
        self.ended = self._queue.end(self._job, outcome)
        return self.ended

    @contextmanager
    def kept(self) -> Iterator[JobControl]:
        """Look at the claim and renew it meanwhile."""

        def look() -> bool:
            if time.monotonic() - self._written_at < RENEW_SECONDS:
                return self._queue.holds(self._job)  # reading costs others nothing
            return self.keep()

        with kept_claim(look, every=_LOOK_SECONDS, name=f"{self._job.kind}-progress", lost=self._lost):
            yield self


class JobHandler(Protocol):
    """Code that does the jobs of one kind."""

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Do a claimed job.

        Raises:
            JobInterrupted: it is to be begun anew.
            TryAgain: it is to be tried again, as long as it has attempts.
        """

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Called after the end of the job is in the control DB: remove what nothing needs any more."""


def failed(code: str, message: str, **result: object) -> Outcome:
    """The end of a job that failed; `result` is JSON."""
    return Outcome(status=JobStatus.FAILED, result=result, error=JobError(code, message))


@dataclass(frozen=True, slots=True)
class JobRunner:
    """One process that works on jobs. `stop` interrupts the work.

    Whoever claims a job renews the claim until `run` has ended, wherever that runs. `most_of_one` says how many jobs of
    a kind may be worked on for one tenant at the same time, in all processes together; a kind that is not in it: any
    number.
    """

    queue: JobQueue
    handlers: Mapping[JobKind, JobHandler]
    stop: threading.Event
    most_of_one: Mapping[JobKind, int] = field(default_factory=dict)

    def claim(self, kinds: Sequence[JobKind] | None = None, *, skip: Collection[str] = ()) -> Job | None:
        """Take the next job, of these kinds if they are given; None when nothing waits.

        A job that ended too many processes ends here, without being worked on.
        """
        wanted = tuple(self.handlers) if kinds is None else kinds
        while (job := self.queue.claim(wanted, most_of_one=self.most_of_one, skip=skip)) is not None:
            most = POLICIES[job.kind].max_attempts
            if most is None or job.attempts <= most:
                return job
            self._end(job, failed("internal_error", POLICIES[job.kind].broke_off))
        return None

    def run(self, job: Job) -> Outcome | None:
        """Do a claimed job; return its outcome, or None when it is not finished by this.

        A stop of this process puts the job back into the queue.

        Raises:
            Exception: an outage, or an error that the handler did not expect. The claim is still held then: `give_up`
                ends it.
        """
        control = JobControl(self.queue, job, self.stop)
        try:
            with control.kept():
                outcome = self.handlers[job.kind].work(job, control)
        except JobInterrupted:
            self.queue.put_back(job)
            return None
        except TryAgain as again:
            if self.queue.try_again(job):
                return None
            outcome = Outcome(status=JobStatus.FAILED, result=job.result, error=again.error)
        if control.ended:
            self.handlers[job.kind].ended(job, outcome)
            return outcome
        return self._end(job, outcome)

    def give_up(self, job: Job, error: Exception, *, interrupted: bool = False) -> None:
        """Note that the work raised: it is tried again now (`interrupted`) or later, or ends as failed.

        An outage of the storage or the control DB delays a job, however often.
        """
        if interrupted:
            self.queue.put_back(job)
        elif isinstance(error, OUTAGES):
            self.queue.rest(job)
        elif not self.queue.try_again(job):
            self._end(job, failed("internal_error", POLICIES[job.kind].unexpected))

    def _end(self, job: Job, outcome: Outcome) -> Outcome | None:
        if not self.queue.end(job, outcome):
            return None
        self.handlers[job.kind].ended(job, outcome)
        return outcome
