"""Decision about a training job at a tick of the sensor, from the job and from what Dagster knows of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from resources.jobs.kinds.training import TrainingJob, TrainingStatus

RunState = Literal["going_on", "completed", "failed", "cancelled", "not_started"]

_GONE = (
    "The run of this job is gone from Dagster, and nothing says how it ended. The live release is as that run left it. "
    "Ask again: POST /api/v1/train"
)
MOST_STARTS = 5
"""Runs that a job is given when the machine is too busy to start one in time."""
_ENDS: dict[RunState, TrainingStatus] = {
    "completed": TrainingStatus.COMPLETED,
    "failed": TrainingStatus.FAILED,
    "cancelled": TrainingStatus.CANCELLED,
    "not_started": TrainingStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class JobRun:
    """The run of a job as Dagster has it; `message` says why it failed.

    `not_started`: Dagster gave it up because its process took too long to begin.
    """

    run_id: str
    state: RunState
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Ask for the run now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do yet; `why` is for the person who looks at the sensor."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """The run has ended, and nobody has noted it: note it in the job."""

    status: TrainingStatus
    message: str | None


def next_step(
    job: TrainingJob, run: JobRun | None, *, starts: int, known: bool, active: bool, busy: bool
) -> Start | Wait | End:
    """Decide what to do with an unfinished job.

    Args:
        run: the newest run with the job's tag.
        starts: how many runs have its tag.
        known: whether the tenant has a partition.
        active: whether the tenant may run at all.
        busy: whether another run of the tenant waits or works.
    """
    again = run is not None and run.state == "not_started" and starts < MOST_STARTS
    if run is not None and not again:
        if run.state == "going_on":
            return Wait(f"{job.id}: run {run.run_id} is going on.")
        return End(_ENDS[run.state], run.message)
    if job.run_id is not None:
        return End(TrainingStatus.FAILED, _GONE)
    if not known:
        return Wait(f"{job.id}: the partition of {job.tenant} is not there yet.")
    if not active:
        return Wait(f"{job.id}: tenant {job.tenant} is not active.")
    if busy:
        return Wait(f"{job.id}: another run of {job.tenant} is going on.")
    return Start()
