"""Erasures as jobs: asked for by API or by a person, done at once where that is possible, else by a sensor."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from resources.base.errors import Conflict
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.decisions.store import DecisionStore
from resources.erasure.certificate import Certificate
from resources.erasure.perform import perform_erasure
from resources.jobs.claims import claimant_name
from resources.jobs.kinds.erasures import Erasure, get_erasure
from resources.jobs.model import Job, JobKind, JobStatus, Outcome
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobControl, JobRunner
from resources.jobs.store import get_job
from resources.storage.lake import Lake

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class UserEraser:
    """The handler of erasure jobs. `home` is the folder of the run locks; `wait_seconds` is for a run to end."""

    lake: Lake
    db: ControlDb
    decisions: DecisionStore
    clock: Clock
    home: Path
    wait_seconds: float = 0.0

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Erase the user of a claimed job.

        Raises:
            Conflict, CorruptArtifact: it cannot be done now, see `perform_erasure`; it is to be tried again.
        """
        certificate = perform_erasure(
            self.lake,
            self.db,
            self.decisions,
            Erasure.of(job),
            self.clock(),
            home=self.home,
            wait_seconds=self.wait_seconds,
        )
        control.ended = True  # with the certificate
        return Outcome(status=JobStatus.DONE, result=certificate.model_dump(mode="json"))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Leave everything as it is: the certificate is kept."""


def erasure_runner(eraser: UserEraser) -> JobRunner:
    """A runner for erasures in this process, with a name of its own."""
    return JobRunner(
        JobQueue(eraser.db, eraser.clock, claimant_name()), {JobKind.ERASURE: eraser}, stop=threading.Event()
    )


def erase_now(eraser: UserEraser, erasure: Erasure) -> Certificate:
    """Do an erasure in this process, and return its certificate.

    Raises:
        Conflict: another process is working on it, or it has to wait (see `perform_erasure`). It stays pending, and a
            running platform goes on with it.
        CorruptArtifact: see `perform_erasure`.
    """
    runner = erasure_runner(eraser)
    until = time.monotonic() + eraser.wait_seconds
    job = get_job(eraser.db, erasure.tenant, JobKind.ERASURE, erasure.id)
    while (claimed := runner.queue.claim_job(job)) is None:
        now = get_erasure(eraser.db, erasure.tenant, erasure.id)
        if now.status == "completed":
            return Certificate.model_validate(now.certificate)
        if time.monotonic() >= until:
            raise Conflict(f"Another process is working on {erasure.id} already.")
        time.sleep(_LOOK_SECONDS)
    try:
        outcome = runner.run(claimed)
    finally:
        runner.queue.put_back(claimed)  # nothing happens when it is done
    if outcome is None:
        raise Conflict(f"{erasure.id} was interrupted. It goes on by itself.")
    return Certificate.model_validate(outcome.result)
